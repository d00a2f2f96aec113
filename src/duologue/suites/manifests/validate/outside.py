"""What a suite names outside of its files: Python functions, URLs and report formats. Nothing is imported or called."""

from __future__ import annotations

from collections.abc import Iterable

from duologue.config.problems import Problems
from duologue.config.spec import Spec
from duologue.config.templates import expand, expand_url, missing_variables
from duologue.errors import ConfigurationError, Position
from duologue.specs.agents import Agent
from duologue.specs.suite import Suite

_GIVEN = "given:"
"""Begins the target of an agent that a program hands over."""


def find_missing_outside(suite: Suite, agents: Iterable[Agent], problems: Problems) -> None:
    """Report functions that do not exist, URLs that nobody can call and formats that nobody can write.

    What depends on environment variables that are not set is left out: that was reported.

    Args:
        suite: that names them.
        agents: those of its agents that take part.
        problems: takes what is wrong.
    """
    for agent in agents:
        if agent.target:
            _function(agent, agent.target, suite, problems)
        if agent.http:
            _url(agent.http, "url", agent.http.url, "the URL of an agent", problems)
    for model in suite.models:
        if model.base_url:
            _url(model, "base_url", model.base_url, "the URL of a model", problems)
    _formats(suite, problems)


def _function(agent: Agent, target: str, suite: Suite, problems: Problems) -> None:
    if missing_variables(target) or target.startswith(_GIVEN):
        return
    from duologue.config.python_names import problem_with_target

    place = agent.place("target") or Position("?")
    if problems.has_error_at(place):
        return
    problem = problem_with_target(expand(target), suite.folder)
    if problem:
        problems.error(place, problem)


def _url(spec: Spec, field: str, written: str, what: str, problems: Problems) -> None:
    if missing_variables(written):
        return
    from duologue.http import parse_url

    try:
        parse_url(expand_url(written), what)
    except ConfigurationError as error:
        hint = f". Is 'http://{written}' meant?" if "://" not in written and "$" not in written else ""
        problems.error(spec.place(field) or Position("?"), f"{error}{hint}")


def _formats(suite: Suite, problems: Problems) -> None:
    output = suite.defaults.output
    if output is None:
        return
    from duologue.suites.report_names import format_named

    places = [*((("formats", index), name) for index, name in enumerate(output.formats))]
    places += [(("files", name), name) for name in output.files]
    for path, name in places:
        try:
            format_named(name)
        except ConfigurationError as error:
            problems.error(output.place(*path) or Position("?"), str(error))
