"""Checks, guardrails, evals and tools of a suite: made once when it is loaded, so that mistakes show then.

Nothing is started and nobody is asked. What a tool asks for that is right, but more than this version can do, is a
warning: what never needs it runs all the same.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from duologue.config.access import variables
from duologue.config.entry_points import make_importable
from duologue.config.files import shown_path
from duologue.config.patterns import late
from duologue.config.problems import Mark, PlacedDict, PlacedList, Problems, cut, hint, listed, shown
from duologue.config.spec import Resource, Spec
from duologue.config.templates import missing_variables
from duologue.config.yaml_reader import read
from duologue.errors import ConfigurationError, Position
from duologue.specs.checks import CheckSpec, GuardrailSpec, PackEvalSpec
from duologue.specs.prompts import Tool
from duologue.specs.scenario import Scenario
from duologue.specs.suite import A2aAgent, McpServer, Suite, find_named
from duologue.suites.manifests.loader import UNSUPPORTED, checked
from duologue.suites.plan.build import trials_of
from duologue.vocabulary import Scope

_SHARED = (
    "another check of this scenario is called the same ({first}) and asks for another pass_threshold: they are counted "
    "together, and the higher one holds. Give each a 'message' of its own"
)
_WRAPPERS = ("assertion", "guardrail")


def find_broken_checks(suite: Suite, problems: Problems, *, whole: bool = True) -> None:
    """Make every check, and report those that cannot be made.

    Args:
        suite: all of it.
        problems: takes what is wrong.
        whole: judges and prompts are all known, so that a check that names another one is wrong.
    """
    specs = list(every_check(suite))
    guardrails = [spec for prompt in suite.prompts for spec in prompt.guardrails]
    evals = [*suite.pack_evals, *(spec for prompt in suite.prompts for spec in prompt.evals)]
    if not specs and not guardrails and not evals:
        return
    if any(":" in spec.type for spec, _ in specs):  # a function of the suite's own modules
        make_importable(suite.folder)
    resources = resources_of(suite) if whole else None
    attempts: list[tuple[CheckSpec | GuardrailSpec | PackEvalSpec, Callable[[], Any]]] = [
        *(
            (spec, partial(made_check, spec, scope, resources or _lenient(spec.params, suite.folder)))
            for spec, scope in specs
        ),
        *((spec, partial(made_guardrail, spec, resources)) for spec in guardrails),
        *((spec, partial(made_eval, spec, resources)) for spec in evals),
    ]
    for spec, make in attempts:
        _attempt(spec, make, problems)
    _find_idle_thresholds(suite, problems)
    _find_shared_thresholds(suite, problems)


def every_check(suite: Suite) -> Iterator[tuple[CheckSpec, Scope]]:
    """Every check of a suite, with the scope that it has where it is written."""
    yield from _in(suite.checks, Scope.CONVERSATION)
    for scenario in suite.scenarios:
        for turn in scenario.turns:
            yield from _in(turn.checks, Scope.TURN)
        yield from _in(scenario.checks, Scope.CONVERSATION)
    for replay in suite.replays:
        yield from _in(replay.turn_checks, Scope.TURN)
        yield from _in(replay.checks, Scope.CONVERSATION)


def resources_of(suite: Suite) -> Any:
    """The judges and prompts that the checks of a suite may name, as ``duologue.checks.Resources``.

    Judges stand there by the names of their models; whoever runs checks puts the models themselves in their place.
    """
    from duologue.checks import Resources

    prompts = {prompt.name: prompt.system_template for prompt in suite.prompts}
    prompts.update({prompt.answers_to: prompt.system_template for prompt in suite.prompts})
    defaults = suite.judge_defaults
    default_judge = find_named(suite.judges, defaults.judge) if defaults else None
    return Resources(
        judges={judge.name: judge.model for judge in suite.judges},
        judge=default_judge.model if default_judge else None,
        prompts=prompts,
        prompt=defaults.prompt if defaults and defaults.prompt in prompts else None,
        folder=suite.folder,
    )


def made_check(spec: CheckSpec, scope: Scope, resources: Any = None) -> Any:
    """The check itself.

    Args:
        spec: as it is written.
        scope: what it looks at, if the spec does not say it.
        resources: as ``duologue.checks.registry`` takes them.

    Raises:
        ConfigurationError: it cannot be made.
    """
    from duologue import checks

    return checks.from_spec(spec, scope=scope, resources=resources)


def made_guardrail(spec: GuardrailSpec, resources: Any = None) -> Any:
    """The guardrail itself. Raises ConfigurationError if it cannot be made."""
    from duologue import checks

    return checks.guardrail_from_spec(spec, resources=resources)


def made_eval(spec: PackEvalSpec, resources: Any = None) -> Any:
    """The eval itself. Raises ConfigurationError if it cannot be made."""
    from duologue import checks

    return checks.pack_eval(spec, resources)


def _in(specs: Iterable[CheckSpec], scope: Scope) -> Iterator[tuple[CheckSpec, Scope]]:
    return ((spec, scope) for spec in specs)


def _attempt(
    spec: CheckSpec | GuardrailSpec | PackEvalSpec,
    make: Callable[[], Any],
    problems: Problems,
) -> None:
    from duologue import checks
    from duologue.checks.registry import UNSUPPORTED, CodeNotLoadedError

    if spec.type in UNSUPPORTED:
        problems.error(_place(spec, "type"), f"check type '{spec.type}' is not supported: {UNSUPPORTED[spec.type]}")
        return
    try:
        if spec.type not in _WRAPPERS and ":" not in spec.type and not checks.is_known(spec.type):
            known = checks.known_types()
            told = f"unknown check type '{cut(spec.type)}'{hint(spec.type, known)}"
            problems.error(_place(spec, "type"), f"{told} There are {len(known)}, such as {listed(sorted(known)[:6])}")
            return
        make()
    except CodeNotLoadedError:  # whoever runs it says what is wrong with it
        return
    except ConfigurationError as error:
        field = "params" if spec.place("params") else "type"
        problems.error(_place(spec, field), str(error).rstrip("."))


def _lenient(params: dict[str, Any], folder: Path) -> Any:
    """Resources in which whatever a check names exists."""
    from duologue.checks import Resources

    judge, prompt = params.get("judge"), params.get("prompt")
    return Resources(
        judges={judge: "mock"} if isinstance(judge, str) else {},
        prompts={prompt: ""} if isinstance(prompt, str) else {},
        folder=folder,
    )


def _place(spec: Spec, field: str) -> Position:
    return spec.place(field) or Position("?")


def _find_idle_thresholds(suite: Suite, problems: Problems) -> None:
    """Warn of shares of one run. A share of 0 means something there, too: the check need not pass."""
    for scenario in suite.scenarios:
        if trials_of(suite, scenario) == 1:
            _tell_idle(_of(scenario), "the scenario runs once. Give it 'trials'", problems, but=(0.0, 1.0))
    for replay in suite.replays:
        _tell_idle((*replay.turn_checks, *replay.checks), "a recording is judged once", problems, but=(1.0,))


def _tell_idle(specs: Iterable[CheckSpec], why: str, problems: Problems, *, but: tuple[float, ...]) -> None:
    for spec in specs:
        if spec.pass_threshold is not None and spec.pass_threshold not in but:
            problems.warning(_place(spec, "pass_threshold"), f"pass_threshold has no effect: {why}")


def _of(scenario: Scenario) -> list[CheckSpec]:
    return [*(spec for turn in scenario.turns for spec in turn.checks), *scenario.checks]


def _find_shared_thresholds(suite: Suite, problems: Problems) -> None:
    """Warn of checks that are counted together because they are called the same, and ask for different shares."""
    for scenario in suite.scenarios:
        first: dict[str, CheckSpec] = {}
        for spec in _of(scenario):
            other = first.setdefault(spec.message or f"{spec.type} {sorted(spec.params.items(), key=str)}", spec)
            if _share_of(other) != _share_of(spec):
                problems.warning(_place(spec, "type"), _SHARED.format(first=other.place("type")))


def _share_of(spec: CheckSpec) -> float:
    return 1.0 if spec.pass_threshold is None else spec.pass_threshold


def with_pack(suite: Suite, problems: Problems) -> Suite:
    """The suite with the evals of its pack before its own; of two with one id, the suite's own counts."""
    if suite.pack_file is None:
        return suite
    path = suite.path(suite.pack_file)
    if not path.is_file():
        return suite  # has been reported
    data = read(path, problems, shown_as=shown_path(path), asked_by=suite.place("pack_file"))
    evals = _pack_evals(data, problems)
    own = {item.id for item in suite.pack_evals}
    made = suite.changed(pack_evals=(*(item for item in evals if item.id not in own), *suite.pack_evals))
    return made.within(suite.folder)


def _pack_evals(data: Any, problems: Problems) -> list[PackEvalSpec]:
    """The evals of a pack."""
    if not isinstance(data, PlacedDict):
        if data is not None:
            place = getattr(data, "home", Mark("?", "", 1, 1, 1, 1))
            problems.error(place, f"found {shown(data)}; expected a prompt pack")
        return []
    items = data.get("evals", PlacedList(data.home))
    if not isinstance(items, PlacedList):
        problems.error(data.mark("evals"), f"found {shown(items)}; expected a list")
        return []
    made: list[PackEvalSpec] = []
    seen: set[str] = set()
    for index, item in enumerate(items):
        spec = checked(PackEvalSpec, _supported(item, problems), problems) if isinstance(item, PlacedDict) else None
        if not isinstance(item, PlacedDict):
            problems.error(items.mark(index), f"found {shown(item)}; expected an eval")
        if spec is None:
            continue
        if spec.id in seen:
            problems.error(spec.place("id") or Position("?"), f"two evals have the id '{spec.id}'; rename one")
        seen.add(spec.id)
        made.append(spec)
    return made


def _supported(item: PlacedDict, problems: Problems) -> PlacedDict:
    """The eval without fields that packs may have and that have no effect here, with a warning for each."""
    for field, why in UNSUPPORTED[PackEvalSpec].items():
        if item.get(field):
            problems.warning(item.mark(field).key(), f"has no effect here: {why}")
    return item.without(*UNSUPPORTED[PackEvalSpec])


_WHO = late(r"^(tool|a2a agent) '[^']*'(: | has )")
_UNSET = "the environment variable {} is not set. What needs it will end with an error; set it"
_CANNOT = "is not supported by this version. What needs it will end with an error; {}"


def find_broken_tools(suite: Suite, problems: Problems) -> None:
    """Prepare every tool and made-up agent, and report those that cannot be prepared.

    Args:
        suite: all of it; files that are not there have been reported.
        problems: takes what is wrong.
    """
    for server in suite.mcp_servers:
        _find_unsupported(server, problems)
    for model in suite.models:
        if model.platform:
            told = _CANNOT.format("give the model's OpenAI-compatible address as 'base_url'")
            _warn(model, "platform", f"platform {told}", problems)
    for agent in suite.a2a_agents:
        _attempt_tool(agent, partial(_prepare_agent, agent), problems)
        _find_unset_token(agent, problems)
    if not suite.tools:
        return
    from duologue.agents.tools.toolbox import Toolbox

    toolbox = Toolbox(suite.changed(a2a_agents=()).within(suite.folder))
    for tool in suite.tools:
        if _is_boxed(tool):
            told = _CANNOT.format("remove it, and start the program in its own sandbox with 'command'")
            _warn(tool, "exec", f"sandbox {told}", problems)
        elif not tool.mock_template_file or suite.path(tool.mock_template_file).is_file():
            _attempt_tool(tool, partial(toolbox.find, tool.name), problems)


def _find_unsupported(server: McpServer, problems: Problems) -> None:
    """Servers are programs or addresses, and live as long as an execution."""
    if server.source is not None:
        told = _CANNOT.format("give the server's 'command' or 'url'")
        _warn(server, "source", f"source {told}", problems)
    elif server.scope in {"run", "scenario"}:
        told = _CANNOT.format("remove it: servers live as long as the execution")
        _warn(server, "scope", f"scope: {server.scope} {told}", problems)


def _is_boxed(tool: Tool) -> bool:
    from duologue.agents.tools.programs import NO_SANDBOX

    return tool.mode == "exec" and tool.exec is not None and tool.exec.sandbox not in NO_SANDBOX


def _prepare_agent(agent: A2aAgent) -> None:
    if agent.url:
        from duologue.agents.tools.a2a_client import check_auth

        check_auth(agent)
        return
    from duologue.agents.tools.a2a_mock import MockA2aAgent

    MockA2aAgent(agent)


def _find_unset_token(agent: A2aAgent, problems: Problems) -> None:
    variable, token = agent.auth.get("token_env"), agent.auth.get("token")
    names = missing_variables(token) if isinstance(token, str) else []
    if not token and isinstance(variable, str) and not variables().get(variable):
        names = [variable]
    for name in names:
        _warn(agent, "auth", _UNSET.format(name), problems)


def _attempt_tool(spec: Resource | A2aAgent, make: Callable[[], Any], problems: Problems) -> None:
    try:
        make()
    except ConfigurationError as error:
        told = _WHO.sub("", str(error)).rstrip(".")
        problems.error(_place_of_message(spec, told), told)


def _warn(spec: Spec, field: str, told: str, problems: Problems) -> None:
    problems.warning(spec.place(field) or Position("?"), told)


def _place_of_message(spec: Spec, told: str) -> Position:
    """Where the field is written with which the message begins, or the nearest that is written around it."""
    path: list[str | int] = [
        int(part) if part.isdigit() else part for part in re.findall(r"\w+", told.partition(" ")[0])
    ]
    return spec.place(*path) or Position("?")
