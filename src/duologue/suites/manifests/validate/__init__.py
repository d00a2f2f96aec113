"""What can be wrong with a suite whose parts are all well formed: names, files, variables, tools, checks."""

from __future__ import annotations

import os

from duologue.config.environment import missing_variables
from duologue.config.paths import PATTERN, matching_files
from duologue.config.problems import Problems
from duologue.config.yaml_reader import similar_file
from duologue.errors import Position
from duologue.specs.paths import written_paths
from duologue.specs.suite import Suite
from duologue.suites.manifests.draft import Draft
from duologue.suites.manifests.validate.checks import find_broken_checks, with_pack
from duologue.suites.manifests.validate.prompts import find_open_variables
from duologue.suites.manifests.validate.references import find_broken_references
from duologue.suites.manifests.validate.tools import find_broken_tools


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
    _find_unset_headers(suite, problems)
    _find_idle_streaming(suite, problems)
    if whole:
        _find_missing_files(suite, problems)
        suite = with_pack(suite, problems)
        find_broken_references(suite, draft.broken, problems)
        find_open_variables(suite, problems)
        _find_broken_answers(suite, problems)
    find_broken_tools(suite, problems)
    find_broken_checks(suite, problems, whole=whole)
    return suite


def _find_unset_variables(suite: Suite, problems: Problems) -> None:
    for place, text in suite.environment_texts():
        for name in missing_variables(text):
            problems.warning(
                place or Position("?"),
                f"the environment variable {name} is not set. What needs it will end with an error; "
                f"set it, or write ${{{name}:-default}}",
            )


def _find_unset_headers(suite: Suite, problems: Problems) -> None:
    """Headers that are taken from the environment by name."""
    bound = [*(tool.http for tool in suite.tools if tool.http), *suite.a2a_agents]
    for spec in bound:
        for index, entry in enumerate(spec.headers_from_env):
            name = entry.partition("=")[2]
            if name and not os.environ.get(name):
                problems.warning(
                    spec.place("headers_from_env", index) or Position("?"),
                    f"the environment variable {name} is not set. What needs it will end with an error; set it",
                )


def _find_idle_streaming(suite: Suite, problems: Problems) -> None:
    for scenario in suite.scenarios:
        if scenario.streaming and not any(agent.http for agent in suite.agents):
            place = scenario.place("streaming", of_key=True) or Position("?")
            problems.warning(place, "has an effect on agents behind a URL only; others give the same answers without")


def _find_missing_files(suite: Suite, problems: Problems) -> None:
    for spec, field, written in written_paths(suite):
        if (
            field in {"credential_file", "schema_file", "mock_parts"}
            or missing_variables(written)
            or (field == "target" and ".py:" not in written)
        ):
            continue  # looked for elsewhere: when they are used, or where checks are made
        if field == "target":
            written = written.rpartition(":")[0]
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


def _find_broken_answers(suite: Suite, problems: Problems) -> None:
    """Look at the response files of mock models, which may be wrong, or for another suite."""
    seen: set[str] = set()
    for model in suite.models:
        written = model.mock_file
        if model.provider != "mock" or not written or written in seen or missing_variables(written):
            continue
        seen.add(written)
        path = suite.path(written)
        if not path.is_file():
            continue  # that was told
        from duologue.models.mock.file import ResponseFile
        from duologue.suites.response_files import unused_answers

        file = ResponseFile.looked_at(path, problems)
        for problem in unused_answers(file, suite) if file else ():
            problems.warning(problem.position, problem.message)
