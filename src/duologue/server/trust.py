"""What callers may define: no files of this machine, and code and programs only with the scope ``admin``.

A suite in a folder may name its files, its code and its programs, because whoever runs it owns the machine. Whoever
asks the service does not.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from duologue.config.placed_json import refused
from duologue.config.spec import Spec, written_paths
from duologue.runs.foreign_code import code_in, code_in_data
from duologue.runs.tokens import TokenScope
from duologue.server.auth import Caller


def require_trust(caller: Caller, *specs: Spec) -> None:
    """Refuse definitions with files, and with code unless the caller may bring some.

    Raises:
        SuiteError: a field names a file.
        ForbiddenError: there is code, and the token's scope is not ``admin``.
    """
    for spec in specs:
        refuse_files(spec)
        for told in code_in(spec):
            caller.require(TokenScope.ADMIN, told)


def require_trust_of_runtime(caller: Caller, runtime: Mapping[str, Any] | None) -> None:
    """Refuse a configuration of a runtime with programs, unless the caller may bring some. Raises ForbiddenError."""
    for told in code_in_data({"runtime": runtime}):
        caller.require(TokenScope.ADMIN, told)


def refuse_files(spec: Spec) -> None:
    """Refuse fields that name files: there is no folder that they could be in. Raises SuiteError."""
    for field, path in _files_in((spec,)):
        told = f"found the file '{path[:100]}'; what is saved in the service has no files: write the content itself"
        raise refused(field, told)


def _files_in(specs: Iterable[Spec]) -> Iterator[tuple[str, str]]:
    for spec in specs:
        for holder, name, path in written_paths(spec):
            if name != "target":
                place = holder.place(name)
                yield (place.field if place is not None else name), path
