"""A suite to a plan: scenarios × agents × personas × regions × perturbations × trials, and replays × recordings.

A plan and its test cases are plain frozen data, the same whenever they are made of the same suite and seed. The order
is that of the suite and of this sentence: the last factor varies fastest. Filters take cases out and change neither
the order nor the seeds of those that stay. Which agents, personas, regions and variants a scenario combines is said
here once, for the plan and for validation.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import field
from functools import lru_cache
from itertools import islice, product
from math import prod
from typing import Any, Literal

from duologue.config.problems import hint, listed
from duologue.context import derive_seed, fresh_seed
from duologue.errors import ConfigurationError
from duologue.frozen import changed, frozen
from duologue.specs.agents import Agent, Persona
from duologue.specs.scenario import DEFAULT_REGION, Scenario, Turn
from duologue.specs.suite import Replay, Suite, find_named

_LONGEST_SLUG = 80
_DIGITS = 16
"""Of the hash in the id of a run: enough for a million cases that are called alike."""


@lru_cache(maxsize=1024)
def _slug(word: str) -> str:
    return re.sub(r"[^A-Za-z0-9]+", "-", word).strip("-").lower()


@frozen(slots=True)
class TestCase:
    """A scenario or a recording, with everything that varies around it.

    Attributes:
        index: its place in the plan, from 0.
        kind: whether a scenario is played or a recording is judged again.
        scenario: the name of the scenario, or of the replay.
        agent: who is rehearsed; None for a recording.
        persona: whom the simulated user plays throughout; None where the turns say so, or nobody is simulated.
        region: one of the suite's, or ``default``.
        perturbation: values for ``{name}`` in the lines, by name.
        recording: the path of the recording; None for a scenario.
        recorded_as: what the source calls the recording, such as ``task 3, trial 0``.
        trial: which repetition this is, from 1.
        trials: how many repetitions there are; at most, if ``until_decided``.
        seed: every random choice of the run derives from it.
        until_decided: its trials end as soon as they decide about the case.
    """

    __test__ = False  # not a test, whatever pytest thinks of the name

    index: int
    kind: Literal["scenario", "replay"] = "scenario"
    scenario: str
    agent: str | None = None
    persona: str | None = None
    region: str = "default"
    perturbation: tuple[tuple[str, str], ...] = ()
    recording: str | None = None
    recorded_as: str | None = field(default=None, compare=False)
    trial: int = 1
    trials: int = 1
    seed: int = 0
    until_decided: bool = False

    @property
    def group(self) -> str:
        """What all trials of the case share: its identity without the number of the trial."""
        parts = [self.scenario, self.agent or "", self.persona or "", self.region, self.recording or ""]
        parts += [f"{key}={value}" for key, value in self.perturbation]
        return "\x1f".join(parts)

    @property
    def identity(self) -> str:
        """What tells the case from all others of the plan."""
        return f"{self.group}\x1f{self.trial}"

    @property
    def title(self) -> str:
        """For people: ``booking · gpt · impatient #2``."""
        names = [self.scenario, self.agent, self.persona, None if self.region == "default" else self.region]
        names += [f"{key}={value}" for key, value in self.perturbation]
        if self.recording:
            names.append(self.recording_title)
        text = " · ".join(name for name in names if name)
        return f"{text} #{self.trial}" if self.trials > 1 else text

    @property
    def recording_title(self) -> str:
        """The recording for people: ``calls.json#3 (task 3, trial 0)``; '' for a scenario."""
        name = (self.recording or "").rsplit("/", 1)[-1]
        return f"{name} ({self.recorded_as})" if self.recorded_as else name

    def run_id(self, execution_id: str) -> str:
        """A name for its run in this execution: readable, unique, and fit for a file."""
        digest = hashlib.sha256(f"{execution_id}\x1f{self.identity}".encode("utf-8", "surrogatepass")).hexdigest()[
            :_DIGITS
        ]
        words = [self.scenario, self.agent or "", self.persona or "", f"t{self.trial}" if self.trials > 1 else ""]
        slug = "-".join([_slug(word) for word in words if word])
        return f"{slug[:_LONGEST_SLUG].strip('-') or 'run'}-{digest}"

    def as_data(self) -> dict[str, Any]:
        """As plain JSON data, in the words of the command line."""
        data: dict[str, Any] = {
            "index": self.index,
            "kind": self.kind,
            "scenario": self.scenario,
            "agent": self.agent,
            "persona": self.persona,
            "region": self.region,
            "trial": self.trial,
            "trials": self.trials,
            "seed": self.seed,
        }
        if self.perturbation:
            data["perturbation"] = dict(self.perturbation)
        if self.recording:
            data["recording"] = self.recording
        if self.recorded_as:
            data["recorded_as"] = self.recorded_as
        if self.until_decided:
            data["until_decided"] = True
        return data


@frozen
class Plan:
    """Test cases in the order in which they are started and reported.

    Attributes:
        suite: the name of the suite.
        cases: scenarios first, in the order of the suite, then recordings.
        seed: that of the execution; those of the cases derive from it and their identity.
    """

    suite: str
    cases: tuple[TestCase, ...]
    seed: int

    def __len__(self) -> int:
        return len(self.cases)


DEFAULT_GROUP = "default"

Perturbation = tuple[tuple[str, str], ...]
"""A value for each name, in the order in which the scenario has the names."""


def agents_of(suite: Suite, scenario: Scenario) -> list[Agent]:
    """The agents that a scenario rehearses, in the order of the suite.

    The scenario's own list; else the agents of its group; else, if the group has none, all agents. Of these, only
    those that have all capabilities that the scenario asks for; an agent that declares none is given the benefit.
    """
    if scenario.agents:
        chosen = [agent for agent in suite.agents if agent.name in scenario.agents]
    else:
        group = scenario.agent_group or DEFAULT_GROUP
        chosen = [agent for agent in suite.agents if agent.group == group] or list(suite.agents)
    needed = set(scenario.required_capabilities)
    return [agent for agent in chosen if not agent.capabilities or needed <= set(agent.capabilities)]


def regions_of(suite: Suite, scenario: Scenario) -> tuple[str, ...]:
    """The regions of a scenario: its own, else the suite's, else ``default``."""
    return tuple(dict.fromkeys(scenario.regions or suite.regions)) or (DEFAULT_REGION,)


def personas_of(scenario: Scenario) -> tuple[str | None, ...]:
    """The personas of a scenario; one None if the scenario leaves it to its turns."""
    return tuple(dict.fromkeys(scenario.personas)) or (None,)


def played_by(suite: Suite, scenario: Scenario, turn: Turn | None) -> list[Persona | None]:
    """Who may play the user in a simulated turn, or in a free conversation; None for nobody in particular."""
    names = (turn.persona,) if turn and turn.persona else personas_of(scenario)
    return [find_named(suite.personas, name) for name in names]


def needs_simulator(suite: Suite, scenario: Scenario, turn: Turn | None) -> bool:
    """Whether a simulator plays the user there, in at least one test case."""
    if turn is None and not scenario.simulates_a_user:
        return False
    return any(persona is None or not persona.way for persona in played_by(suite, scenario, turn))


def attackers_of(suite: Suite, scenario: Scenario) -> list[Persona]:
    """The personas that attack the agent in a scenario."""
    turns = [turn for turn in scenario.turns if turn.role == "simulated_user"] if scenario.turns else [None]
    every = [persona for turn in turns for persona in played_by(suite, scenario, turn) if persona and persona.attack]
    return list({persona.name: persona for persona in every}.values())


MOST_TRIALS = 20
"""Of a test case that is repeated until it is decided, unless the suite or the command line says otherwise."""


def trials_of(suite: Suite, scenario: Scenario) -> int:
    """How often each test case of a scenario is repeated; at most, if its trials end when they decide."""
    written = scenario.trials or suite.trials
    return (suite.defaults.max_trials or MOST_TRIALS) if written == "auto" else written


def _repetitions(suite: Suite, scenario: Scenario, trials: int | None, *, until_decided: bool) -> tuple[int, bool]:
    """How often a test case of a scenario is repeated, and whether its trials end when they decide.

    Args:
        suite, scenario: what is written.
        trials: what is asked for in its place.
        until_decided: whether that is asked for; one trial that is written is then no limit.
    """
    written = trials_of(suite, scenario)
    auto = (scenario.trials or suite.trials) == "auto"
    if until_decided and trials is None and not auto:
        written = written if written > 1 else suite.defaults.max_trials or MOST_TRIALS
    most = trials or written
    return most, most > 1 and (until_decided or auto)


def perturbations_of(scenario: Scenario, *, most: int | None = None) -> list[Perturbation]:
    """Every combination of values, the last name varying fastest; one empty combination if there are none.

    Args:
        scenario: its turns have the values.
        most: stop after so many.
    """
    combinations = product(*[[(key, value) for value in given] for key, given in _varied(scenario).items()])
    return list(islice(combinations, most))


def number_of_perturbations(scenario: Scenario) -> int:
    """How many combinations there are, without making them."""
    return prod(len(given) for given in _varied(scenario).values())


def _varied(scenario: Scenario) -> dict[str, Sequence[str]]:
    """The values of each name; the first turn that has a name decides."""
    values: dict[str, Sequence[str]] = {}
    for turn in scenario.turns:
        for key, given in turn.perturbations.items():
            values.setdefault(key, given)
    return values


def personas_named(scenario: Scenario) -> set[str]:
    """Every persona that takes part in a scenario, whether it multiplies test cases or belongs to a turn."""
    return {*scenario.personas, *(turn.persona for turn in scenario.turns if turn.persona)}


MOST_CASES = 1_000_000
"""A plan of more test cases is a mistake in the suite."""

Recordings = Callable[[Replay], Sequence[str] | Mapping[str, str | None]]
"""Finds the recordings of a replay: names that the plan keeps and the execution opens, perhaps with what their source
calls them."""


@frozen
class Filters:
    """Which test cases are wanted. An empty filter wants all; tags and labels want a scenario that has any of them.

    Attributes:
        scenarios, agents, personas, regions, replays: names.
        tags: of scenarios and replays.
        labels: ``key=value`` each, of scenarios and replays.
    """

    scenarios: Sequence[str] = ()
    agents: Sequence[str] = ()
    personas: Sequence[str] = ()
    regions: Sequence[str] = ()
    replays: Sequence[str] = ()
    tags: Sequence[str] = ()
    labels: Sequence[str] = ()

    @property
    def chooses_scenarios(self) -> bool:
        """Whether something is asked for that only scenarios have."""
        return bool(self.scenarios or self.agents or self.personas or self.regions)


def generate_plan(
    suite: Suite,
    filters: Filters | None = None,
    *,
    trials: int | None = None,
    seed: int | None = None,
    recordings: Recordings | None = None,
    until_decided: bool = False,
) -> Plan:
    """The test cases of a suite.

    Args:
        suite: what is run.
        filters: which cases are wanted; None for all.
        trials: how often each case is repeated; None for what the suite says.
        seed: of the execution; None for the suite's, or a fresh one.
        recordings: finds the recordings of replays; None leaves replays out.
        until_decided: trials of every case end when they decide about it; ``trials`` are as many as there may be.

    Raises:
        ConfigurationError: a filter names something that the suite does not have, or nothing is left.
    """
    wanted = filters or Filters()
    _check_names(suite, wanted)
    chosen = suite.defaults.seed if seed is None else seed
    base = fresh_seed() if chosen is None else chosen
    found = _limited(
        [
            *_scenario_cases(suite, wanted, trials, until_decided=until_decided),
            *_replay_cases(suite, wanted, recordings),
        ],
        suite,
        wanted,
    )
    cases = tuple(
        changed(case, index=index, seed=derive_seed(base, "case", case.identity)) for index, case in enumerate(found)
    )
    return Plan(suite=suite.name, cases=cases, seed=base)


def _scenario_cases(suite: Suite, wanted: Filters, trials: int | None, *, until_decided: bool) -> Iterator[TestCase]:
    if wanted.replays and not wanted.chooses_scenarios:
        return
    for scenario in suite.scenarios:
        if not _is_wanted(scenario.name, scenario.tags, scenario.labels, wanted.scenarios, wanted):
            continue
        repeated, open_ended = _repetitions(suite, scenario, trials, until_decided=until_decided)
        if repeated * number_of_perturbations(scenario) > MOST_CASES:
            raise _too_many(suite)
        for agent in agents_of(suite, scenario):
            if not wanted.agents or agent.name in wanted.agents:
                for case in _cells(suite, scenario, agent.name, wanted, repeated):
                    yield changed(case, until_decided=True) if open_ended else case


def _cells(suite: Suite, scenario: Scenario, agent: str, wanted: Filters, trials: int) -> Iterator[TestCase]:
    for persona in personas_of(scenario):
        if wanted.personas and not ({persona, *_of_turns(scenario)} & set(wanted.personas)):
            continue
        for region in _regions(suite, scenario, wanted):
            for perturbation in perturbations_of(scenario):
                for trial in range(1, trials + 1):
                    yield TestCase(
                        index=0,
                        scenario=scenario.name,
                        agent=agent,
                        persona=persona,
                        region=region,
                        perturbation=perturbation,
                        trial=trial,
                        trials=trials,
                    )


def _regions(suite: Suite, scenario: Scenario, wanted: Filters) -> Iterable[str]:
    """Those that are wanted; a suite that names no regions is run in whichever are asked for."""
    if not wanted.regions:
        return regions_of(suite, scenario)
    if not (scenario.regions or suite.regions):
        return dict.fromkeys(wanted.regions)
    return (region for region in regions_of(suite, scenario) if region in wanted.regions)


def _of_turns(scenario: Scenario) -> set[str]:
    return {turn.persona for turn in scenario.turns if turn.persona} if not scenario.personas else set()


def _replay_cases(suite: Suite, wanted: Filters, recordings: Recordings | None) -> Iterator[TestCase]:
    if recordings is None or (wanted.chooses_scenarios and not wanted.replays):
        return
    for replay in suite.replays:
        if _is_wanted(replay.name, replay.tags, replay.labels, wanted.replays, wanted):
            found = recordings(replay)
            titles: Mapping[str, str | None] = found if isinstance(found, Mapping) else {}
            for name in found:
                yield TestCase(
                    index=0, kind="replay", scenario=replay.name, recording=name, recorded_as=titles.get(name)
                )


def _is_wanted(name: str, tags: Iterable[str], labels: dict[str, str], names: Sequence[str], wanted: Filters) -> bool:
    if names and not any(_is_called(name, wanted_name) for wanted_name in names):
        return False
    if wanted.tags and not set(wanted.tags) & set(tags):
        return False
    return not wanted.labels or any(f"{key}={value}" in wanted.labels for key, value in labels.items())


def _is_called(name: str, wanted: str) -> bool:
    """Whether that is the name, or that of the scenario whose table has the case."""
    return name == wanted or name.startswith(f"{wanted}/")


def _limited(cases: list[TestCase], suite: Suite, wanted: Filters) -> list[TestCase]:
    if not cases:
        why = "is left by the filters" if wanted != Filters() else "can be made"
        raise ConfigurationError(
            f"nothing to run: no test case of the suite '{suite.name}' {why}; 'duologue inspect' shows what it has: "
            f"{len(suite.scenarios)} scenarios, {len(suite.agents)} agents, {len(suite.replays)} replays"
        )
    if len(cases) > MOST_CASES:
        raise _too_many(suite)
    return cases


def _too_many(suite: Suite) -> ConfigurationError:
    return ConfigurationError(
        f"the suite '{suite.name}' has more than {MOST_CASES:,} test cases; filter them, or give fewer perturbations, "
        "regions or trials"
    )


def _check_names(suite: Suite, wanted: Filters) -> None:
    known = {
        "scenarios": [item.name for item in suite.scenarios],
        "agents": [item.name for item in suite.agents],
        "personas": [item.name for item in suite.personas],
        "regions": sorted({*suite.regions, *(region for scenario in suite.scenarios for region in scenario.regions)}),
        "replays": [item.name for item in suite.replays],
        "tags": sorted({tag for item in (*suite.scenarios, *suite.replays) for tag in item.tags}),
    }
    for kind, names in known.items():
        if kind == "regions" and not names:
            continue
        for name in getattr(wanted, kind):
            if not any(_is_called(item, name) for item in names):
                word = kind.removesuffix("s")
                there = f"It has {listed(names)}." if names else f"It has no {kind}."
                raise ConfigurationError(f"the suite '{suite.name}' has no {word} '{name}'{hint(name, names)} {there}")
    for label in wanted.labels:
        if "=" not in label:
            raise ConfigurationError(f"label: found '{label}'; expected key=value, such as tier=enterprise")
