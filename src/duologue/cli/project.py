"""The settings of a project: ``.env``, and ``[tool.duologue]`` in its ``pyproject.toml``.

The project is the nearest folder, from the current one upwards, with a ``pyproject.toml`` or a ``.git``; nothing above
it is read, and where there is none, only the current folder is. What is set in the environment comes before ``.env``,
what is typed before ``pyproject.toml``.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from duologue.config.files import project_folder, read_file
from duologue.errors import ConfigurationError

LOG_LEVEL = "DUOLOGUE_LOG_LEVEL"
"""Names the log level of every command."""
ENV_FILE = "DUOLOGUE_ENV_FILE"
"""Names another file in place of ``.env``; empty for none."""
_TABLE = "tool.duologue"
_TYPED_ONLY = {"help", "target", "resume", "failed_in", "overwrite"}
"""Options of ``run`` that belong to one execution."""
_LARGEST = 5_000_000
"""Bytes of a file of settings."""
_FIELDS = {"env-file": str, "default-model": str, "log-level": str, "database": str, "run": dict}
_ASSIGNMENT = re.compile(
    r"""^\s*(?:export\s+)?([A-Za-z_]\w*)\s*=\s*  # the name
    (?:'([^']*)'|"((?:[^"\\]|\\.)*)"|((?:[^'"\s\#]\S*(?:\s+(?!\#)\S+)*)?))  # the value
    \s*(?:(?<=[\s='"])\#.*)?$  # a comment
    """,
    re.VERBOSE,
)
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r"}


def take_settings(folder: Path) -> dict[str, Any]:
    """Take over the environment, the log level, the database and the default model of a folder's project.

    Returns:
        The table of its ``pyproject.toml``.

    Raises:
        ConfigurationError: something in its files is wrong.
    """
    project = project_folder(folder)
    settings = project_settings(project)
    load_environment(folder, project, settings)
    level = os.environ.get(LOG_LEVEL) or settings.get("log-level")
    if level:
        from duologue.cli.logs import show_logs

        show_logs(level)
    if "database" in settings:  # of this process and of those that it starts
        named: str = settings["database"]
        os.environ.setdefault("DUOLOGUE_DATABASE_URL", named if "://" in named else str(project / named))
    if "default-model" in settings:
        from duologue.settings import ScenarioConfig

        ScenarioConfig.configure(default_model=settings["default-model"])
    return settings


def defaults_of(command: Any, called: str, settings: Mapping[str, Any]) -> dict[str, Any] | None:
    """The values of options that nobody types, as ``typer`` takes them; None if the project has none.

    Args:
        command: has the subcommand that is called.
        called: its name.
        settings: of the project; ``run`` has values by the names of options, such as ``fail-fast = true``.

    Raises:
        ConfigurationError: there is no such option, or it cannot be set for all executions.
    """
    table: Mapping[str, Any] = settings.get("run", {})
    if called != "run" or not table:
        return None
    names = {
        option.removeprefix("--"): item.name
        for item in command.commands[called].params
        for option in item.opts
        if option.startswith("--") and item.name not in _TYPED_ONLY
    }
    values: dict[str, Any] = {}
    for name, value in table.items():
        if name not in names:
            from duologue.config.problems import hint

            raise ConfigurationError(
                f"pyproject.toml: {_TABLE}.run: no option of 'run' is called '{name}'{hint(name, names)}"
            )
        values[names[name]] = value
    return {called: values}


def project_settings(project: Path) -> dict[str, Any]:
    """The table ``[tool.duologue]`` of a project; empty if it has none.

    Raises:
        ConfigurationError: the file cannot be read, or has a field that is unknown or of another type.
    """
    path = project / "pyproject.toml"
    if not path.exists():
        return {}
    text = _content(path)
    if b"duologue" not in text:
        return {}
    import tomllib

    try:
        found = tomllib.loads(text.decode())
    except (ValueError, RecursionError) as error:  # tomllib sets no limit to nesting and digits itself
        raise ConfigurationError(f"{path} is no TOML: {error}") from error
    tool: object = found.get("tool", {})
    table: object = cast("dict[str, object]", tool).get("duologue", {}) if isinstance(tool, dict) else {}
    if not isinstance(table, dict):
        raise ConfigurationError(f"{path}: {_TABLE}: expected a table")
    return _checked(path, cast("dict[str, Any]", table))


def _content(path: Path) -> bytes:
    return read_file(path, _LARGEST)


def _checked(path: Path, table: dict[str, Any]) -> dict[str, Any]:
    for name, value in table.items():
        expected = _FIELDS.get(name)
        if expected is None:
            from duologue.config.problems import hint, listed

            raise ConfigurationError(
                f"{path}: {_TABLE}: unknown field '{name}'{hint(name, _FIELDS)} Fields here: {listed(_FIELDS)}"
            )
        if not isinstance(value, expected):
            word = "a table" if expected is dict else "a string"
            raise ConfigurationError(f"{path}: {_TABLE}.{name}: expected {word}, got {value!r}")
    return table


def load_environment(folder: Path, project: Path, settings: Mapping[str, Any]) -> Path | None:
    """Take over variables that are not set yet from ``.env`` of the current folder, or else of the project.

    Values of variables whose names tell so are secret: they are hidden wherever they turn up.

    Args:
        folder: the current one.
        project: whose files may be read.
        settings: of the project; ``env-file`` names another file, relative to the project.

    Returns:
        The file that was read; None if there is none.

    Raises:
        ConfigurationError: a file that is named does not exist, or a line of it is no ``NAME=value``.
    """
    named = os.environ.get(ENV_FILE, settings.get("env-file"))
    if named == "":
        return None
    if named is not None:
        path = (folder if ENV_FILE in os.environ else project) / named
        if not path.is_file():
            where = ENV_FILE if ENV_FILE in os.environ else f"{project / 'pyproject.toml'}: {_TABLE}.env-file"
            raise ConfigurationError(f"{where}: there is no file {path}")
    else:
        path = next((item for item in (folder / ".env", project / ".env") if item.is_file()), None)
        if path is None:
            return None
    values = read_env_file(path)
    from duologue.config.redaction import is_secret, names_secret, remember

    remember(*(value for name, value in values.items() if names_secret(name) or is_secret(name, value)))
    for name, value in values.items():
        os.environ.setdefault(name, value)
    return path


def read_env_file(path: Path) -> dict[str, str]:
    """The variables of a file with a ``NAME=value`` in each line; nothing in it is expanded.

    Raises:
        ConfigurationError: a line is something else. Its value is not shown: it may be secret.
    """
    try:
        lines = _content(path).decode("utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise ConfigurationError(f"{path} is not UTF-8 text: {error.reason} at byte {error.start}") from error
    values: dict[str, str] = {}
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        found = _ASSIGNMENT.match(line)
        if found is None or "\0" in line:
            raise ConfigurationError(f"{path}:{number}: expected NAME=value, perhaps in quotes on one line")
        name, single, double, plain = found.groups()
        if double is not None:
            values[name] = re.sub(r"\\(.)", lambda match: _ESCAPES.get(match[1], match[1]), double)
        else:
            values[name] = single if single is not None else plain
    return values
