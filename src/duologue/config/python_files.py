"""Python files that are loaded by their path, once for a process."""

from __future__ import annotations

import importlib.util
import sys
from hashlib import sha256
from pathlib import Path
from types import ModuleType

from duologue.config.entry_points import make_importable
from duologue.config.problems import similar_file
from duologue.errors import TargetError


def load_file(path: Path) -> ModuleType:
    """The module of a file, which can import the files next to it.

    Raises:
        TargetError: there is no such file. What the file itself raises is passed on.
    """
    if not path.is_file():
        raise TargetError(f"there is no file {path}{similar_file(path)}")
    key = f"duologue_agent_{path.stem}_{sha256(str(path.resolve()).encode()).hexdigest()[:8]}"
    if key in sys.modules:
        return sys.modules[key]
    spec = importlib.util.spec_from_file_location(key, path)
    if spec is None or spec.loader is None:
        raise TargetError(f"{path} is no Python file")
    make_importable(path.parent)
    module = importlib.util.module_from_spec(spec)
    sys.modules[key] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[key]
        raise
    return module
