"""What test cases need, looked for before the first of them begins: one refusal has everything that is missing.

Models get what they need to be asked (a known name, a key, a package, weights), and are not asked. The code of agents
is imported, as it would be for the first run. An address is dialled: a TCP connection is opened and closed again,
nothing is sent, so that the agent is not called.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from duologue.config.problems import Problems
from duologue.config.spec import Spec
from duologue.config.templates import expand, expand_url, missing_variables
from duologue.errors import ConfigurationError, MissingExtraError, MissingKeyError, Position, UnknownModelError
from duologue.frozen import frozen
from duologue.models.choice import choose, require_model
from duologue.settings import ScenarioConfig
from duologue.specs.agents import Agent, Judge, Persona, Simulator
from duologue.specs.checks import CheckSpec
from duologue.specs.scenario import Scenario
from duologue.specs.suite import McpServer, Replay, Suite, find_named
from duologue.suites.execution.outside import Need, find_missing_outside, needed_servers, server_needs
from duologue.suites.manifests.loader import SECTIONS, Report
from duologue.suites.plan.build import TestCase, agents_of, attackers_of, needs_simulator, personas_of
from duologue.suites.runner.models import SuiteModels
from duologue.vocabulary import Scope

if TYPE_CHECKING:
    from duologue.conversation.threads import WorkerPool
    from duologue.suites.replay import RecordingIndex

DIAL_SECONDS = 5.0
"""That a server may take to accept a connection; all are dialled at once."""
IMPORT_SECONDS = 120.0
"""That the code of an agent may take to be imported."""
_NEITHER = "run the suite all the same with --no-preflight"

_SIMULATOR = "simulators, such as [{name: customers, model: local}], or a persona with lines or an agenda"
_JUDGE = "judges, such as [{name: referee, model: openai/gpt-5-mini}]"


@frozen
class Needed:
    """What takes part in test cases.

    Attributes:
        pairs: scenarios with their agents, each once.
        replays: those of which recordings are judged.
    """

    pairs: Sequence[tuple[Scenario, Agent]]
    replays: Sequence[Replay]

    @property
    def agents(self) -> list[Agent]:
        """The agents, each once."""
        return list({agent.name: agent for _, agent in self.pairs}.values())

    @property
    def scenarios(self) -> list[Scenario]:
        """The scenarios, each once."""
        return list({scenario.name: scenario for scenario, _ in self.pairs}.values())


def needed_by(suite: Suite, cases: Iterable[TestCase]) -> Needed:
    """What takes part in these cases."""
    named = dict.fromkeys((case.kind, case.scenario, case.agent) for case in cases)
    pairs: list[tuple[Scenario, Agent]] = []
    replays: list[Replay] = []
    for kind, name, who in named:
        if kind == "replay":
            replays += [item for item in suite.replays if item.name == name]
            continue
        scenario, agent = find_named(suite.scenarios, name), find_named(suite.agents, who)
        if scenario is not None and agent is not None:
            pairs.append((scenario, agent))
    return Needed(pairs=pairs, replays=replays)


def needed_by_all(suite: Suite) -> Needed:
    """What takes part in any test case of a suite."""
    pairs = [(scenario, agent) for scenario in suite.scenarios for agent in agents_of(suite, scenario)]
    return Needed(pairs=pairs, replays=suite.replays)


def looked_up(found: Report, *, mocking: bool = False, dial: bool = False, lenient: bool = False) -> Report:
    """What was found out about the files of a suite, together with what any of its test cases needs and is not here.

    Args:
        found: what is known of the files.
        mocking: mock mode.
        dial: whether addresses are dialled.
        lenient: what another machine may have, such as a key, is a warning.
    """
    suite = found.suite
    if suite is None or sum(len(getattr(suite, section)) for section in SECTIONS) < 2:  # a resource by itself
        return found
    problems = Problems()
    for problem in found.problems:
        (problems.error if problem.severity == "error" else problems.warning)(problem.position, problem.message)
    needed, models = needed_by_all(suite), SuiteModels(suite, mocking=mocking)
    find_missing_outside(suite, suite.agents, problems)
    find_missing(needed, models, problems, lenient=lenient)
    if dial:
        import asyncio

        asyncio.run(find_unreachable(needed, models, problems))
    return replace(found, problems=problems.in_order())


async def preflight(
    needed: Needed,
    models: SuiteModels,
    *,
    pool: Callable[[], WorkerPool],
    recordings: Callable[[], RecordingIndex],
    given: Iterable[str] = (),
) -> None:
    """Look for everything that test cases need.

    Args:
        needed: what takes part.
        models: of the suite.
        pool: gives the threads that run the code of agents.
        recordings: gives the suite's recordings; called only if there is a replay.
        given: agents that a program hands over.

    Raises:
        SuiteError: something is missing; the error has all of it.
    """
    problems, suite = Problems(), models.suite
    find_missing_outside(suite, (agent for agent in needed.agents if agent.name not in set(given)), problems)
    # First, because the code of an agent may set a default model, or the keys of models.
    await find_unloadable(needed, suite.folder, pool, problems, given=given)
    find_missing(needed, models, problems, given=given)
    find_unset(needed, suite, problems, given=given)
    if needed.replays:
        find_unreadable(needed, recordings(), problems)
    await find_unreachable(needed, models, problems, given=given)
    problems.raise_errors()


def find_missing(
    needed: Needed, models: SuiteModels, problems: Problems, *, given: Iterable[str] = (), lenient: bool = False
) -> None:
    """Report what models need and is not here: keys, packages, weights, files, and names that nobody answers to.

    Args:
        needed: what takes part.
        models: of the suite; in mock mode hardly anything is needed.
        problems: takes what is missing.
        given: agents that a program hands over.
        lenient: what another machine may have, such as a key, is a warning.
    """
    seen: set[str] = set()
    for place, need in _needs(needed, models, set(given)):
        try:
            need()
        except ConfigurationError as error:
            told = str(error).rstrip(".")
            if told in seen or problems.has_error_at(place):
                continue
            seen.add(told)
            if lenient and not isinstance(error, UnknownModelError):
                here = isinstance(error, MissingKeyError | MissingExtraError)
                problems.warning(place, f"{told}. Until then 'duologue run' refuses to begin" if here else told)
            else:
                problems.error(place, told)


def _needs(needed: Needed, models: SuiteModels, given: set[str]) -> Iterator[Need]:
    for scenario, agent in needed.pairs:
        if agent.model and agent.name not in given and agent.runtime is None:
            yield _place(models, agent, agent.model, "model"), _model(models, agent.model, scenario.name)
    for scenario in needed.scenarios:
        yield from _of_simulators(models, scenario)
        yield from _of_attackers(models, scenario)
        yield from _of_judge(models, scenario)
        for turn in scenario.turns:
            yield from _of_checks(models, scenario.name, turn.checks, Scope.TURN)
        yield from _of_checks(models, scenario.name, (*scenario.checks, *models.suite.checks), Scope.CONVERSATION)
    yield from server_needs(models.suite, needed.pairs, given)
    for replay in needed.replays:
        yield from _of_judge(models, replay)
        yield from _of_checks(models, replay.name, replay.turn_checks, Scope.TURN)
        yield from _of_checks(models, replay.name, (*replay.checks, *models.suite.checks), Scope.CONVERSATION)


def _place(models: SuiteModels, user: Agent | Judge, name: str, field: str) -> Position:
    """Where the suite describes the model, or else where it is named."""
    spec = models.spec(name)
    return (spec.place("name") if spec else None) or user.place(field) or Position("?")


def _model(models: SuiteModels, name: str, scenario: str, *, judge: Judge | None = None) -> Callable[[], object]:
    def need() -> object:
        if judge is None:
            return models.model(name, scenario=scenario)
        return models.model(name, scenario=scenario, judge=judge.name, instead=judge.model_name)

    return need


def _of_simulators(models: SuiteModels, scenario: Scenario) -> Iterator[Need]:
    if models.mocking:
        return
    suite = models.suite
    simulated = [turn for turn in scenario.turns if turn.role == "simulated_user"]
    turns = [turn for turn in simulated if needs_simulator(suite, scenario, turn)]
    if not turns and (scenario.turns or not needs_simulator(suite, scenario, None)):
        return
    simulators = suite.simulators
    first = simulators[0].name if simulators else None
    for name in dict.fromkeys(turn.simulator or first for turn in turns) if turns else [first]:
        held = find_named(simulators, name)
        if held is None:
            yield (
                scenario.place("turns") or scenario.place() or Position("?"),
                _default("The simulated user", _SIMULATOR),
            )
        elif held.model and not models.is_mock(held.model):
            spec = models.spec(held.model)
            place = (spec.place("name") if spec else None) or held.place("model") or Position("?")
            yield place, _model(models, held.model, scenario.name)


def _of_attackers(models: SuiteModels, scenario: Scenario) -> Iterator[Need]:
    def needs_of(persona: Persona) -> Callable[[], object]:
        def need() -> object:
            from duologue.suites.runner.users import attacker_for

            return attacker_for(models, scenario.name, persona)

        return need

    for persona in attackers_of(models.suite, scenario):
        yield persona.place("attack") or Position("?"), needs_of(persona)


def _default(who: str, instead: str) -> Callable[[], object]:
    """The default model, which only code can set."""

    def need() -> None:
        config = ScenarioConfig.default_config
        if config is None or config.default_model is None:
            raise ConfigurationError(f"{who} needs a model, and the suite names none: add {instead}")
        require_model(choose(None, purpose=who))

    return need


def _of_judge(models: SuiteModels, owner: Scenario | Replay) -> Iterator[Need]:
    """The judge of criteria, as ``judges.judge_for`` chooses it."""
    if not owner.judged:
        return
    suite = models.suite
    defaults = suite.judge_defaults
    first = suite.judges[0].name if suite.judges else None
    judge = find_named(suite.judges, owner.judge or (defaults.judge if defaults else None) or first)
    if judge is not None:
        yield _place(models, judge, judge.model, "model"), _model(models, judge.model, owner.name, judge=judge)
    elif not models.mocking:
        yield _place_of_criteria(owner), _default("The judge", _JUDGE)


def _place_of_criteria(owner: Scenario | Replay) -> Position:
    fields = ("criteria", "success_criteria", "failure_criteria")
    return next((place for name in fields if (place := owner.place(name))), Position("?"))


def _of_checks(models: SuiteModels, scenario: str, specs: Iterable[CheckSpec], scope: Scope) -> Iterator[Need]:
    from duologue.checks.base import CheckType
    from duologue.checks.registry import registered_type

    def needs_of(spec: CheckSpec) -> Callable[[], object]:
        def need() -> None:
            from duologue.suites.manifests.validate.checks import made_check
            from duologue.suites.runner.models import resources_for

            resources = resources_for(models, scenario)
            test: Any = getattr(made_check(spec, scope, resources), "test", None)
            if test is not None:
                test.require(resources)

        return need

    for spec in specs:
        kind = registered_type(spec.type, models.suite.folder)
        if isinstance(kind, type) and issubclass(kind, CheckType) and kind.require is not CheckType.require:
            yield spec.place("type") or Position("?"), needs_of(spec)


def find_unset(needed: Needed, suite: Suite, problems: Problems, *, given: Iterable[str] = ()) -> None:
    """Report environment variables that URLs and headers refer to and that are not set."""
    agents = [agent for agent in needed.agents if agent.http is not None and agent.name not in set(given)]
    users = {name for scenario, agent in needed.pairs if agent in agents for name in personas_of(scenario)}
    headed: list[tuple[str, str, Spec | None]] = [("agent", agent.name, agent.http) for agent in agents]
    headed += [("persona", persona.name, persona) for persona in suite.personas if persona.name in users]
    for what, who, spec in headed:
        for place, text in spec.environment_texts() if spec else ():
            for name in missing_variables(text):
                told = f"the {what} '{who}' needs the environment variable {name}, which is not set"
                problems.error(place or Position("?"), f"{told}. Set it, or write ${{{name}:-default}}")


def find_unreadable(needed: Needed, recordings: RecordingIndex, problems: Problems) -> None:
    """Report replays of which no recording can be read. A single broken one is an error of its own case."""
    for replay in needed.replays:
        errors: list[str] = []
        for name in recordings.names(replay):
            try:
                recordings.open(replay, name)
            except ConfigurationError as error:
                errors.append(str(error))
            else:
                errors.clear()
                break
        if errors:
            problems.error(replay.place("recording") or Position("?"), errors[0].rstrip("."))


async def find_unloadable(
    needed: Needed, folder: Path, pool: Callable[[], WorkerPool], problems: Problems, *, given: Iterable[str] = ()
) -> None:
    """Import the code of agents that run in this process, on the thread that runs them."""
    mine = [agent for agent in needed.agents if agent.target and agent.name not in set(given)]
    agents = [agent for agent in mine if agent.isolation != "processes"]
    if not agents:
        return
    import asyncio

    from duologue.conversation.threads import in_worker_thread
    from duologue.suites.runner.python_agents import load_agent

    async def load() -> None:
        for agent in agents:
            try:
                load_agent(expand(agent.target or ""), folder, agent.name)
            except ConfigurationError as error:
                place = agent.place("target") or Position("?")
                if not problems.has_error_at(place):
                    problems.error(place, str(error).rstrip("."))

    async def give_up(_: Exception | None) -> None:
        named = ", ".join(f"'{agent.name}'" for agent in agents)
        told = f"the code of {named} is not imported after {IMPORT_SECONDS:g} s. Look what it waits for, or {_NEITHER}"
        problems.error(agents[0].place("target") or Position("?"), told)

    try:
        await asyncio.wait_for(in_worker_thread(load, give_up, pool()), IMPORT_SECONDS)
    except TimeoutError:
        if not problems.errors:
            await give_up(None)


@frozen
class Address:
    """Where something answers.

    Attributes:
        place: where it is written.
        who: what is called there.
        url: as it may be shown.
        host, port: of its server.
    """

    place: Position
    who: str
    url: str
    host: str
    port: int


async def find_unreachable(
    needed: Needed, models: SuiteModels, problems: Problems, *, given: Iterable[str] = ()
) -> None:
    """Dial every address that the suite gives for an agent or a model that takes part, and report those that are dead.

    Addresses that are reached through a proxy are left out.
    """
    import asyncio

    addresses = _addresses(needed, models, problems, set(given))
    servers = list(dict.fromkeys((item.host, item.port) for item in addresses))
    reasons = await asyncio.gather(*(_dial(host, port) for host, port in servers))
    dead: Mapping[tuple[str, int], str | None] = dict(zip(servers, reasons, strict=True))
    for item in addresses:
        reason = dead[item.host, item.port]
        if reason is not None:
            told = f"{item.who}: no connection to {item.url}: {reason}. Start it, correct the URL, or {_NEITHER}"
            problems.error(item.place, told)


def _addresses(needed: Needed, models: SuiteModels, problems: Problems, given: set[str]) -> list[Address]:
    found: list[Address] = []
    for agent in needed.agents:
        if agent.http and agent.name not in given:
            _add(found, agent.http.place("url"), f"the agent '{agent.name}'", agent.http.url, problems)
    for server in needed_servers(models.suite, needed.pairs, given):
        if server.url:
            who = f"the {'MCP server' if isinstance(server, McpServer) else 'A2A agent'} '{server.name}'"
            _add(found, server.place("url"), who, server.url, problems)
    if models.mocking:
        return found
    named = {name: place for name, place in _models_of(needed, models.suite, given).items() if not models.is_mock(name)}
    if not named:
        return found
    from duologue.models.names import parse_name
    from duologue.models.openai_compatible import own_server

    for name, place in named.items():
        spec = models.spec(name)
        if spec is not None and spec.base_url:
            _add(found, spec.place("base_url"), f"the model '{name}'", spec.base_url, problems)
        elif url := own_server(parse_name(f"{spec.provider}/{spec.model}" if spec else name)):
            _add(found, spec.place("provider") if spec else place, f"the model '{name}'", url, problems)
    return found


def _models_of(needed: Needed, suite: Suite, given: set[str]) -> dict[str, Position | None]:
    """The models of agents, simulators and judges that are asked, with where they are named."""
    users = (agent for agent in needed.agents if agent.name not in given)
    simulators = (
        find_named(suite.simulators, (turn and turn.simulator) or _first(suite.simulators))
        for scenario in needed.scenarios
        for turn in scenario.turns or (None,)
        if (turn is None or turn.role == "simulated_user") and needs_simulator(suite, scenario, turn)
    )
    default = suite.judge_defaults.judge if suite.judge_defaults else None
    judges = (
        find_named(suite.judges, owner.judge or default or _first(suite.judges))
        for owner in (*needed.scenarios, *needed.replays)
        if owner.judged
    )
    asked = (*users, *simulators, *judges)
    found = {item.model: item.place("model") for item in asked if item is not None and item.model}
    attackers = [item.attack for scenario in needed.scenarios for item in attackers_of(suite, scenario) if item.attack]
    return {**{name: attack.place("model") for attack in attackers for name in attack.models}, **found}


def _first(named: Sequence[Simulator] | Sequence[Judge]) -> str | None:
    return named[0].name if named else None


def _add(found: list[Address], place: Position | None, who: str, written: str, problems: Problems) -> None:
    from duologue.http import parse_url, port_of, shown_url

    place = place or Position("?")
    try:
        url = parse_url(expand_url(written), "the URL")
    except ConfigurationError as error:
        if not problems.has_error_at(place):
            problems.error(place, f"{who}: {error}".rstrip("."))
        return
    if url.hostname and not _behind_proxy(url.scheme, url.hostname):
        found.append(Address(place=place, who=who, url=shown_url(url), host=url.hostname, port=port_of(url)))


def _behind_proxy(scheme: str, host: str) -> bool:
    """Whether the environment names a proxy for requests there."""
    if not any(os.environ.get(name) for base in (f"{scheme}_proxy", "all_proxy") for name in (base, base.upper())):
        return False
    from urllib.request import proxy_bypass

    return not proxy_bypass(host)


async def _dial(host: str, port: int) -> str | None:
    """Why no connection can be opened; None if one can."""
    import asyncio

    try:
        async with asyncio.timeout(DIAL_SECONDS):
            _, writer = await asyncio.open_connection(host, port)
    except TimeoutError:
        return f"nobody accepts a connection within {DIAL_SECONDS:g} s"
    except OSError as error:
        return _reason(error)
    writer.close()
    return None


def _reason(error: OSError) -> str:
    if isinstance(error, ConnectionRefusedError) or "Connect call failed" in str(error):
        return "connection refused, nothing listens there"
    return (error.strerror or str(error)).rstrip(".")
