"""The folder for what can be made again."""

from __future__ import annotations

from pathlib import Path

from duologue.settings import env


def cache_folder() -> Path:
    """``$DUOLOGUE_CACHE_DIR``, else the user's cache folder on this system. It need not exist."""
    if chosen := env("CACHE_DIR"):
        return Path(chosen).expanduser().absolute()
    from platformdirs import user_cache_path

    return user_cache_path("duologue", appauthor=False).absolute()
