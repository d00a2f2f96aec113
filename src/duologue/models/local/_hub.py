"""Fetch weights from a Hugging Face hub, because somebody asked for them by name.

The hub's own client does the work (the extra ``hub``); it honours ``HF_ENDPOINT``, ``HF_HOME`` and ``HF_HUB_OFFLINE``.
Files land in the Hugging Face cache, so other programs share them.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict

from duologue.errors import ConfigurationError, MissingExtraError, ModelUnavailableError, UnknownModelError
from duologue.frozen import frozen
from duologue.http import MAX_BODY_BYTES, Limits, bound
from duologue.models.local._files import digest_of, hub_folder, require_gguf
from duologue.models.local._weights import CATALOGUE, DEFAULT_MODEL, Weights, WeightsSource, preferred, split_repository

HUB_TIMEOUT = 30.0
_LARGEST_FILE = 64 * 1024**3
"""Bytes of weights whose size the hub does not say."""

T = TypeVar("T")
Progress = Callable[[int, int | None], None]
"""Told the bytes that are there and, where it is known, the bytes in all."""


@frozen
class HubFile:
    """A file on the hub.

    Attributes:
        repository, file: where it is.
        revision: the commit that is fetched.
        size: in bytes, if the hub says it.
        sha256: as the hub or the catalogue says it, or None.
    """

    repository: str
    file: str
    revision: str
    size: int | None
    sha256: str | None


class _Said(BaseModel):
    model_config = ConfigDict(from_attributes=True)


class _Stored(_Said):
    sha256: str


class _Entry(_Said):
    rfilename: str
    size: int | None = None
    lfs: _Stored | None = None


class _Repository(_Said):
    """What the hub says about a repository."""

    sha: str | None = None
    siblings: list[_Entry] | None = None


def look_up(name: str, *, revision: str | None = None) -> HubFile:
    """What a name means on the hub, so that it can be said before it is fetched. Reads no weights.

    Args:
        name: of the catalogue, ``owner/repository`` or ``owner/repository/file.gguf``.
        revision: branch, tag or commit; None for the main branch.

    Raises:
        UnknownModelError: the hub has no such model or file.
        ConfigurationError: several files could be meant, or the client is not installed.
        ModelUnavailableError: the hub cannot be reached.
    """
    name = name.removeprefix("local:").removeprefix("local/")
    known = CATALOGUE.get((name if name != "local" else DEFAULT_MODEL).lower())
    address = (known.repository, known.file) if known else split_repository(name)
    if address is None:
        raise UnknownModelError(
            f"'{name}' is neither in the catalogue ({', '.join(CATALOGUE)}) nor the name of a repository on the hub. "
            "Write owner/repository or owner/repository/file.gguf"
        )
    repository, wanted = address
    info = _ask(
        name,
        lambda client: _Repository.model_validate(
            client.HfApi(endpoint=endpoint()).model_info(
                repository, revision=revision, files_metadata=True, timeout=HUB_TIMEOUT
            )
        ),
        limits=Limits(seconds=HUB_TIMEOUT),
    )
    files = {entry.rfilename: entry for entry in info.siblings or [] if entry.rfilename.endswith(".gguf")}
    file = wanted or preferred(sorted(files))
    if file is None or file not in files:
        raise _which(repository, wanted, sorted(files))
    stored = files[file].lfs
    said = stored.sha256 if stored else None
    return HubFile(
        repository=repository,
        file=file,
        revision=info.sha or revision or "main",
        size=files[file].size,
        sha256=known.sha256 if known else said,
    )


def pull(name: str, *, revision: str | None = None, progress: Progress | None = None) -> Weights:
    """Fetch the weights of a model, and check them. What is there already is not fetched again.

    Args:
        name: of the catalogue, ``owner/repository`` or ``owner/repository/file.gguf``.
        revision: branch, tag or commit; None for the main branch.
        progress: told how far it is.

    Returns:
        The weights, as ``find`` will find them under the same name.

    Raises:
        UnknownModelError: the hub has no such model or file.
        ConfigurationError: several files could be meant, the client is not installed, or the bytes that came are not
            those that were expected; they are deleted then.
        ModelUnavailableError: the hub cannot be reached.
    """
    found = look_up(name, revision=revision)
    bar = _bar(progress) if progress else None
    path = Path(
        _ask(
            name,
            lambda client: client.hf_hub_download(
                found.repository,
                found.file,
                revision=found.revision,
                endpoint=endpoint(),
                cache_dir=hub_folder(),
                etag_timeout=HUB_TIMEOUT,
                **({"tqdm_class": bar} if bar else {}),
            ),
            limits=Limits(max_bytes=MAX_BODY_BYTES + (found.size or _LARGEST_FILE), max_values=None),
        )
    )
    _check(path, found)
    return Weights(name=_name(name, found), source=WeightsSource.HUB, path=path, sha256=found.sha256)


def endpoint() -> str | None:
    """Address of the hub: ``$HF_ENDPOINT``, read now; None for the client's own default, the public one."""
    return (os.environ.get("HF_ENDPOINT") or "").rstrip("/") or None


def _place() -> str:
    return f" at {address}" if (address := endpoint()) else ""


def _ask(name: str, question: Callable[[Any], T], *, limits: Limits) -> T:
    """Ask the hub's client, whose answers keep to the limits, and say in our words what went wrong."""
    if importlib.util.find_spec("huggingface_hub") is None:
        raise MissingExtraError("Fetching weights from the hub", "hub", "huggingface_hub")
    # Imported by name: the client is optional.
    client: Any = importlib.import_module("huggingface_hub")
    errors: Any = importlib.import_module("huggingface_hub.errors")
    try:
        with _limited(client, limits):
            return question(client)
    except (errors.RepositoryNotFoundError, errors.RevisionNotFoundError, errors.RemoteEntryNotFoundError) as error:
        raise UnknownModelError(
            f"The hub{_place()} has no model '{name}' that you may read: {_first_line(error)}. Check the name; "
            "models with restricted access need the token of somebody who accepted their terms"
        ) from error
    except errors.HFValidationError as error:
        raise UnknownModelError(f"'{name}' cannot be the name of a model on the hub: {_first_line(error)}") from error
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ModelUnavailableError(
            f"The hub{_place()} answered something unexpected about '{name}': {type(error).__name__}: "
            f"{_first_line(error)}. Check HF_ENDPOINT"
        ) from error
    except (errors.HfHubHTTPError, errors.LocalEntryNotFoundError, OSError, *_http_errors()) as error:
        raise ModelUnavailableError(
            f"The weights of '{name}' could not be fetched from the hub{_place()}: {_first_line(error)}. "
            "Check the network and HF_ENDPOINT; weights that are on this machine are named by their path: "
            "local:/path/to/model.gguf"
        ) from error


@contextmanager
def _limited(client: Any, limits: Limits) -> Generator[None]:
    """Make the hub's client, whose HTTP client belongs to the process, keep to the limits within the block."""
    inner = importlib.import_module("huggingface_hub.utils._http")
    usual = inner._GLOBAL_CLIENT_FACTORY
    client.set_client_factory(lambda: bound(usual(), limits))
    try:
        yield
    finally:
        client.set_client_factory(usual)


def _http_errors() -> list[type[Exception]]:
    """The hub's client has changed its HTTP library before, and lets its errors through."""
    libraries = [name for name in ("httpx", "httpx2") if importlib.util.find_spec(name)]
    return [importlib.import_module(name).HTTPError for name in libraries]


def _check(path: Path, expected: HubFile) -> None:
    try:
        require_gguf(path)
        found = digest_of(path)
        if expected.sha256 and found != expected.sha256:
            raise ConfigurationError(
                f"What the hub{_place()} sent for {expected.repository}/{expected.file} has the SHA-256 {found}, "
                f"expected {expected.sha256}. It was deleted; fetch it again, and if that does not help, from elsewhere"
            )
    except ConfigurationError:
        path.resolve().unlink(missing_ok=True)
        path.unlink(missing_ok=True)
        raise


def _which(repository: str, wanted: str | None, files: list[str]) -> ConfigurationError:
    if wanted:
        return UnknownModelError(f"{repository} has no file '{wanted}'. It has: {', '.join(files) or 'no GGUF file'}")
    if not files:
        return UnknownModelError(f"{repository} has no GGUF file; look for a repository whose name ends in -GGUF")
    return ConfigurationError(
        f"{repository} has several models: {', '.join(files)}. Say which: {repository}/{files[0]}"
    )


def _name(name: str, found: HubFile) -> str:
    name = name.removeprefix("local:").removeprefix("local/")
    if name == "local":
        return DEFAULT_MODEL
    return name.lower() if name.lower() in CATALOGUE else f"{found.repository}/{found.file}"


def _first_line(error: Exception) -> str:
    return str(error).strip().split("\n", 1)[0] or type(error).__name__


def _bar(progress: Progress) -> type:
    """The hub's client reports to a class of progress bars: one that draws nothing and tells ``progress``."""
    base: Any = importlib.import_module("huggingface_hub.utils").tqdm

    def begin(bar: Any, *args: Any, **kwargs: Any) -> None:
        base.__init__(bar, *args, **{**kwargs, "disable": True})
        bar.expected, bar.done = kwargs.get("total"), int(kwargs.get("initial") or 0)

    def update(bar: Any, n: float | None = 1) -> None:
        bar.done += int(n or 0)
        progress(bar.done, bar.expected)

    return type("Reporter", (base,), {"__init__": begin, "update": update})
