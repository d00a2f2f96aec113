"""Loading what ``FILE.py::function`` names."""

from __future__ import annotations

import importlib.util
import inspect
import sys
from collections.abc import Callable, Mapping
from difflib import get_close_matches
from pathlib import Path
from types import ModuleType

from duologue.errors import TargetError

SEPARATOR = "::"


def load_target(target: str) -> Callable[[], object]:
    """The function that ``FILE.py::function`` names; it takes no arguments.

    Raises:
        TargetError: there is no such file or function, the file cannot be imported, or the function needs arguments.
    """
    file, _, name = target.partition(SEPARATOR)
    module = _module(Path(file))
    functions = {
        key: value
        for key, value in vars(module).items()
        if inspect.isfunction(value) and value.__module__ == module.__name__ and not key.startswith("_")
    }
    if not name:
        example = f"{file}::{next(iter(functions), 'function')}"
        raise TargetError(f"name a function of {file}, such as {example}. {_there(functions)}")
    function = functions.get(name)
    if function is None:
        near = get_close_matches(name, functions, 1)
        hint = f" Did you mean '{near[0]}'?" if near else ""
        raise TargetError(f"{file} has no function '{name}'.{hint} {_there(functions)}")
    needed = [
        parameter.name
        for parameter in inspect.signature(function).parameters.values()
        if parameter.default is parameter.empty
        and parameter.kind not in {parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD}
    ]
    if needed:
        raise TargetError(
            f"{target} takes arguments ({', '.join(needed)}); 'duologue run' calls a function without any. "
            "If they are pytest fixtures, run it with pytest."
        )
    return function


def _module(path: Path) -> ModuleType:
    if not path.is_file():
        raise TargetError(f"there is no file {path}; expected FILE.py::function")
    name = f"duologue_target_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise TargetError(f"{path} is no Python file; expected FILE.py::function")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    sys.path.insert(0, str(path.resolve().parent))
    try:
        spec.loader.exec_module(module)
    except SyntaxError as error:
        raise TargetError(f"{path}, line {error.lineno}: {error.msg}") from error
    except (Exception, SystemExit) as error:
        line = _line_in(error, path)
        raise TargetError(f"{path}{line} cannot be imported: {type(error).__name__}: {error}") from error
    return module


def _line_in(error: BaseException, path: Path) -> str:
    """Where in that file the error arose."""
    traceback, line = error.__traceback__, None
    while traceback is not None:
        if traceback.tb_frame.f_code.co_filename == str(path):
            line = traceback.tb_lineno
        traceback = traceback.tb_next
    return f", line {line}," if line else ""


def _there(functions: Mapping[str, object]) -> str:
    return f"It has: {', '.join(sorted(functions))}." if functions else "It has no functions."
