"""The runs API over HTTP: ``create_app`` makes the application, ``duologue serve`` runs it with its workers.

Whatever is asked is asked of a store of runs; the service keeps nothing itself.
"""

from __future__ import annotations

from duologue.errors import MissingExtraError

try:
    import fastapi as _fastapi  # pyright: ignore[reportUnusedImport]  # noqa: F401
except ImportError as error:  # pragma: no cover - what a user without the extra sees
    raise MissingExtraError("the service", "server", "fastapi") from error

from duologue.server.app import create_app
from duologue.server.settings import ServerSettings

__all__ = ["ServerSettings", "create_app"]
