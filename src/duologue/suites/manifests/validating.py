"""What can be wrong with a suite whose parts are all well formed: names, files, variables, checks.

Each part has a module of its own: names in ``references``, prompts in ``variables``, checks in ``checks_within``.
"""

from __future__ import annotations

from duologue.suites.files.positions import Position
from duologue.suites.files.problems import Problems
from duologue.suites.files.reading import similar_file
from duologue.suites.manifests.assembling import Draft
from duologue.suites.manifests.checks_within import find_broken_checks
from duologue.suites.manifests.packs import with_pack
from duologue.suites.manifests.references import find_broken_references
from duologue.suites.manifests.variables import find_open_variables
from duologue.suites.specs.environment import missing, references
from duologue.suites.specs.paths import PATTERN, matching_files, written_paths
from duologue.suites.specs.suite import Suite


def validated(draft: Draft, problems: Problems, *, whole: bool = True) -> Suite | None:
    """The suite of a draft, after everything about it was looked at.

    Args:
        draft: what was put together.
        problems: takes what is wrong.
        whole: it is a whole suite; otherwise what it refers to may be elsewhere and is not looked at.
    """
    suite = draft.suite
    if suite is None:
        return None
    _find_unset_variables(suite, problems)
    if whole:
        _find_missing_files(suite, problems)
        suite = with_pack(suite, problems)
        find_broken_references(suite, draft.broken, problems)
        find_open_variables(suite, problems)
    find_broken_checks(suite, problems, whole=whole)
    return suite


def _find_unset_variables(suite: Suite, problems: Problems) -> None:
    for place, text in references(suite):
        for name in missing(text):
            problems.warning(
                place or Position("?"),
                f"the environment variable {name} is not set. What needs it will end with an error; "
                f"set it, or write ${{{name}:-default}}",
            )


def _find_missing_files(suite: Suite, problems: Problems) -> None:
    for spec, field, written in written_paths(suite):
        if field in {"target", "credential_file"} or missing(written):
            continue  # looked for when they are used
        place = spec.place(field) or Position("?")
        path = suite.path(written)
        if PATTERN & set(written) and field == "recording":
            if not matching_files(suite.folder, written):
                problems.error(place, f"no file matches '{written}'")
        elif field == "working_dir":
            if not path.is_dir():
                problems.error(place, f"there is no folder '{written}'")
        elif not path.is_file():
            problems.error(place, f"there is no file '{written}'{similar_file(path)}")
