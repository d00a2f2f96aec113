"""What can be seen without running anything: criteria that nobody can decide or meet, answers that the user knows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, cast

from duologue.frozen import frozen
from duologue.specs.agents import Persona
from duologue.specs.checks import CheckSpec
from duologue.specs.scenario import Scenario
from duologue.specs.suite import Suite, find_named
from duologue.suites.plan.build import agents_of
from duologue.suites.runner.definition import prompts_of
from duologue.suites.self_test.findings import FindingKind, LintFinding
from duologue.suites.self_test.leaks import leaked_value, told_outcome
from duologue.suites.self_test.wording import (
    asks_only_for_manner,
    asks_only_to_refrain,
    content_words,
    exclude_each_other,
    is_about_user,
    negated,
    problems_of_wording,
    refers_elsewhere,
)


@frozen
class _Criterion:
    field: str
    text: str


@frozen
class _Check:
    field: str
    spec: CheckSpec

    @property
    def kind(self) -> str:
        """Its type under its usual name."""
        return _SAME.get(self.spec.type, self.spec.type)

    def values(self, *names: str) -> list[str]:
        """The texts of the first of these parameters that there is."""
        for name in names:
            value = self.spec.params.get(name)
            if isinstance(value, str):
                return [value]
            if isinstance(value, (list, tuple)):
                return [str(item) for item in cast("Sequence[object]", value)]
        return []


_SAME = {
    "content_includes": "contains",
    "content_includes_any": "contains_any",
    "content_not_includes": "content_excludes",
    "banned_words": "content_excludes",
    "tool_called": "tools_called",
    "tool_not_called": "tools_not_called",
    "tools_called_session": "tools_called",
    "tools_not_called_session": "tools_not_called",
    "length": "max_length",
    "content_matches": "regex",
}
_PATTERNS = ("patterns", "words")
_TOOLS = ("tools", "tool_names", "tool", "tool_name")
_ARGUMENTS = ("expected_args", "required_args")
_REFRAIN = frozenset(
    {"content_excludes", "tools_not_called", "max_length", "sentence_count", "tool_no_repeat", "no_tool_errors"}
    | {
        "latency_budget",
        "cost_budget",
        "agent_not_invoked",
        "skill_not_activated",
        "tool_anti_pattern",
        "toxicity",
        "bias",
    }
    | {"role_violation", "pii_leakage", "hallucination", "max_sentences", "max_latency", "token_budget"}
)
"""Checks that an agent passes which does nothing."""


def lint(suite: Suite, names: Iterable[str] = ()) -> list[LintFinding]:
    """The weaknesses of the scenarios of a suite, in the order of the suite.

    Args:
        suite: what is looked at.
        names: of scenarios; none for all.
    """
    wanted = set(names)
    return [
        finding
        for scenario in suite.scenarios
        if not wanted or scenario.name in wanted
        for finding in _Linter(suite, scenario).findings()
    ]


_CONSENT = frozenset({"yes", "ok", "okay", "sure", "no", "nope", "please", "right", "agreed", "perfect", "great"})
"""Words of a user whose meaning depends on what was asked."""


class _Linter:
    def __init__(self, suite: Suite, scenario: Scenario) -> None:
        self._suite = suite
        self._scenario = scenario
        self._criteria = _criteria_of(scenario)
        self._checks = _checks_of(suite, scenario)
        self._personas = _personas_of(suite, scenario)

    def findings(self) -> list[LintFinding]:
        found = [
            *self._decides(),
            *self._wording(),
            *self._contradictions(),
            *self._tools(),
            *self._states(),
            *self._user_lines(),
            *self._leaks(),
            *self._told_what_to_do(),
        ]
        return list({(item.kind, item.field, item.text): item for item in found}.values())

    def _finding(self, kind: FindingKind, field: str, text: str) -> LintFinding:
        place = self._scenario.place(field.partition("[")[0].partition(".")[0]) or self._scenario.place()
        return LintFinding(kind=kind, scenario=self._scenario.name, field=field, text=text, position=place)

    # --- what decides ------------------------------------------------------------------------------------------------

    def _decides(self) -> Iterator[LintFinding]:
        judged = [item for item in self._criteria if item.field != "failure_criteria"]
        only_failure = not judged and self._scenario.failure_criteria is not None
        if not self._criteria and not self._checks and not self._evaluated_otherwise:
            yield self._finding(
                "nothing-decides", "criteria", "no criterion and no check decides; every run is undecided"
            )
            return
        if self._evaluated_otherwise:
            return
        refrains = all(asks_only_to_refrain(item.text) for item in judged)
        refraining = all(self._refrains(item) for item in self._checks)
        if refrains and refraining and not only_failure:
            yield self._finding(
                "passes-when-silent",
                "criteria" if judged else "checks",
                "everything only says what must not happen, which an agent that says nothing fulfils; also say what it "
                "has to do",
            )
        elif (
            judged
            and all(asks_only_for_manner(item.text) or asks_only_to_refrain(item.text) for item in judged)
            and (refraining)
        ):
            yield self._finding(
                "passes-when-agreeing",
                "criteria",
                "everything is about manners or consent, which an agent that agrees with everything fulfils; also say "
                "what it has to achieve",
            )

    @property
    def _evaluated_otherwise(self) -> bool:
        """Whether something decides that is not looked at here: evals of packs, or an attack."""
        return bool(self._suite.pack_evals or self._suite.pack_file) or any(item.attack for item in self._personas)

    def _refrains(self, check: _Check) -> bool:
        if check.kind == "regex":
            return check.spec.params.get("expect_match") is False
        if check.kind == "tool_call_count":
            return not check.spec.params.get("min")
        return check.kind in _REFRAIN

    # --- what can be decided -----------------------------------------------------------------------------------------

    def _wording(self) -> Iterator[LintFinding]:
        about = self._about
        for item in self._criteria:
            problems = list(problems_of_wording(item.text, self._scenario.description))
            for kind, text in problems:
                yield self._finding(cast("FindingKind", kind), item.field, f"'{_brief(item.text)}': {text}")
            document = refers_elsewhere(item.text)
            if document is not None and not problems and document.lower()[:5] not in about:
                yield self._finding(
                    "not-observable",
                    item.field,
                    f"'{_brief(item.text)}': the judge reads the description and the conversation, and neither says "
                    f"what the {document} is; write the rule that counts",
                )

    @property
    def _about(self) -> str:
        """What a judge reads beside the conversation."""
        return self._scenario.description.lower()

    def _contradictions(self) -> Iterator[LintFinding]:
        wanted = [item for item in self._criteria if item.field != "failure_criteria"]
        for place, item in enumerate(wanted):
            other = next((earlier for earlier in wanted[:place] if exclude_each_other(item.text, earlier.text)), None)
            if other is not None:
                yield self._finding(
                    "contradiction",
                    item.field,
                    f"'{_brief(item.text)}' and '{_brief(other.text)}' cannot both be true; no agent can pass",
                )
        success, failure = self._scenario.success_criteria, self._scenario.failure_criteria
        if success and failure and negated(success) == negated(failure):
            yield self._finding("contradiction", "failure_criteria", "what counts as success counts as failure, too")
        yield from self._contradicting_checks()

    def _contradicting_checks(self) -> Iterator[LintFinding]:
        wanted = {value.lower(): item for item in self._of("contains") for value in item.values(*_PATTERNS)}
        for item in self._of("content_excludes"):
            for value in item.values(*_PATTERNS):
                other = next((text for text in wanted if value.lower() in text), None)
                if other is not None and self._meet(wanted[other], item):
                    yield self._finding(
                        "contradiction",
                        item.field,
                        f"'{value}' must not be said, and '{other}' must; no agent can pass",
                    )
        called = {name: item for item in self._of("tools_called") for name in item.values(*_TOOLS)}
        for item in self._of("tools_not_called"):
            for name in item.values(*_TOOLS):
                if name in called and self._meet(called[name], item):
                    yield self._finding(
                        "contradiction", item.field, f"the tool '{name}' must be called and must not be called"
                    )
        yield from self._limits()

    def _limits(self) -> Iterator[LintFinding]:
        for item in self._checks:
            low, high = (_number(item.spec.params, name) for name in ("min", "max"))
            if low is not None and high is not None and low > high:
                yield self._finding("contradiction", item.field, f"at least {low:g} and at most {high:g}")
            if None not in (item.spec.min_score, item.spec.max_score) and item.spec.min_score > item.spec.max_score:  # type: ignore[operator]
                yield self._finding("contradiction", item.field, "min_score is above max_score")
        most = [(item, limit) for item in self._of("max_length") if (limit := _limit(item)) is not None]
        least = [(item, limit) for item in self._of("min_length") if (limit := _limit(item)) is not None]
        for item, limit in most:
            for other, needed in least:
                if needed > limit and self._meet(item, other):
                    yield self._finding(
                        "contradiction", item.field, f"at most {limit:g} and at least {needed:g} characters"
                    )
            for other in self._of("contains"):
                longest = max(other.values(*_PATTERNS), key=len, default="")
                if len(longest) > limit and self._meet(item, other):
                    yield self._finding(
                        "contradiction", item.field, f"'{longest}' is longer than the {limit:g} allowed"
                    )

    def _of(self, kind: str) -> list[_Check]:
        return [item for item in self._checks if item.kind == kind]

    def _meet(self, one: _Check, other: _Check) -> bool:
        """Whether two checks look at the same messages, at least in part, so that both cannot be met."""
        turns = {item.field.partition(".")[0] for item in (one, other) if item.field.startswith("turns")}
        return len(turns) < 2 and one.spec.when is None and other.spec.when is None

    # --- what can be reached -----------------------------------------------------------------------------------------

    def _tools(self) -> Iterator[LintFinding]:
        agents = agents_of(self._suite, self._scenario)
        if not agents and self._suite.agents:  # without any, these are the files of another suite
            yield self._finding(
                "unreachable", "agents", "no agent of the suite fits the scenario, so that it never runs"
            )
        known = self._known_tools()
        if known is None:
            return
        policy = self._scenario.tool_policy
        barred = set(policy.blocklist) if policy else set[str]()
        none = policy is not None and (policy.tool_choice == "none" or policy.max_total_tool_calls == 0)
        for item in self._checks:
            if item.kind not in {"tools_called", "tool_args", "tool_calls_with_args", "tool_call_sequence"}:
                continue
            for name in item.values(*_TOOLS, "sequence"):
                why = (
                    "the scenario allows no tool calls" if none else "the scenario blocks it" if name in barred else ""
                )
                if not why and name not in known:
                    why = "no agent of the scenario has it"
                if why:
                    yield self._finding("unreachable", item.field, f"the tool '{name}' must be called, and {why}")
                else:
                    for argument in self._unknown_arguments(name, item):
                        yield self._finding(
                            "unreachable",
                            item.field,
                            f"the tool '{name}' must be called with '{argument}', which its input_schema does not have",
                        )

    def _unknown_arguments(self, name: str, check: _Check) -> list[str]:
        """Arguments that a check wants and the schema of the tool does not have, so that no model knows of them."""
        wanted = next((found for key in _ARGUMENTS if (found := check.spec.params.get(key))), None)
        tool = find_named(self._suite.tools, name)
        properties: object = tool.input_schema.get("properties") if tool else None
        if not isinstance(wanted, Mapping) or not isinstance(properties, Mapping) or not properties:
            return []
        return [argument for argument in cast("Mapping[str, object]", wanted) if argument not in properties]

    def _states(self) -> Iterator[LintFinding]:
        """Checks of states that the workflow does not have, and of conditions that never hold."""
        workflow = self._suite.workflow
        for item in self._checks:
            if item.kind in {"state_is", "transitioned_to", "spoke_in_state", "workflow_state_is"} and workflow:
                for name in item.values("state", "states"):
                    if name not in workflow.states:
                        yield self._finding("unreachable", item.field, f"the workflow has no state '{name}'")
            known = self._known_tools()
            tool = item.spec.when.tool_called if item.spec.when else None
            if known is not None and tool and tool not in known:
                yield self._finding(
                    "unreachable",
                    item.field,
                    f"it applies when '{tool}' is called, and no agent of the scenario has it",
                )

    def _known_tools(self) -> set[str] | None:
        """The tools that agents of the scenario may call; None where that cannot be known."""
        suite = self._suite
        if suite.mcp_servers or suite.a2a_agents or suite.workflow or not suite.agents:
            return None
        found: set[str] = set()
        for agent in agents_of(suite, self._scenario):
            if not agent.model:
                return None
            prompts = prompts_of(suite, self._scenario, agent)
            if not prompts:
                return None
            found.update(name for prompt in prompts for name in prompt.allowed_tools)
        return found

    def _user_lines(self) -> Iterator[LintFinding]:
        """Criteria about what the user does, where every line of the user is written down and does something else."""
        scenario = self._scenario
        if not scenario.turns or scenario.simulates_a_user:
            return
        said = set(content_words(" ".join(turn.content or "" for turn in scenario.turns)))
        said |= set(content_words(" ".join(message.content or "" for message in scenario.messages)))
        if any(turn.parts for turn in scenario.turns) or said & _CONSENT:
            return
        for item in self._criteria:
            words = content_words(item.text)
            if is_about_user(item.text) and words and not said & set(words):
                yield self._finding(
                    "unreachable",
                    item.field,
                    f"'{_brief(item.text)}': every line of the user is written in turns, and none of them does that",
                )

    # --- what the user knows -----------------------------------------------------------------------------------------

    def _leaks(self) -> Iterator[LintFinding]:
        """Answers that the agent should give, in what the user says or knows."""
        for field, text in self._known_to_user():
            written = field in {"turns", "messages"} or field.endswith(".lines")
            for item in self._criteria:
                if item.field == "failure_criteria" or asks_only_to_refrain(item.text):
                    continue
                value = leaked_value(item.text, text, written=written)
                if value is not None:
                    yield self._finding(
                        "leaked-answer",
                        field,
                        f"'{value}' is what the agent has to say ('{_brief(item.text)}'), and the user knows it",
                    )

    def _told_what_to_do(self) -> Iterator[LintFinding]:
        """Texts for the user that tell what the agent should answer."""
        criteria = [item.text for item in self._criteria]
        for field, text in self._known_to_user():
            told = told_outcome(text, criteria, wish=field.endswith(("goal", "goals")))
            if told is not None:
                yield self._finding(
                    "leaked-answer",
                    field,
                    f"'{_brief(told)}' tells the user what the agent should do, so that the user can give it away; "
                    "write it as a criterion",
                )

    def _known_to_user(self) -> Iterator[tuple[str, str]]:
        scenario = self._scenario
        yield "description", scenario.description
        yield "goal", scenario.goal or ""
        for persona in self._personas:
            where = f"personas.{persona.name}"
            yield f"{where}.description", persona.description
            yield f"{where}.system_prompt", persona.system_prompt or persona.system_template or ""
            yield f"{where}.facts", ". ".join(f"{name}: {value}" for name, value in persona.facts.items())
            yield f"{where}.goals", ". ".join(persona.goals)
            yield f"{where}.constraints", ". ".join(persona.constraints)
            yield f"{where}.lines", "\n".join(persona.lines or ())
            if persona.agenda:
                yield f"{where}.agenda", ". ".join(f"{slot.name}: {slot.value}" for slot in persona.agenda.slots)
        yield "turns", "\n".join(turn.content or "" for turn in scenario.turns)
        yield "messages", "\n".join(item.content or "" for item in scenario.messages if item.role == "user")


def _number(params: Mapping[str, Any], name: str) -> float | None:
    value = params.get(name)
    return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else None


def _limit(check: _Check) -> float | None:
    names = (
        ("max", "max_length", "max_characters")
        if check.kind == "max_length"
        else ("min", "min_length", "min_characters")
    )
    return next((value for name in names if (value := _number(check.spec.params, name)) is not None), None)


def _criteria_of(scenario: Scenario) -> list[_Criterion]:
    found = [_Criterion(field=f"criteria[{place}]", text=text) for place, text in enumerate(scenario.criteria)]
    if scenario.success_criteria:
        found.append(_Criterion(field="success_criteria", text=scenario.success_criteria))
    if scenario.failure_criteria:
        found.append(_Criterion(field="failure_criteria", text=scenario.failure_criteria))
    return found


def _checks_of(suite: Suite, scenario: Scenario) -> list[_Check]:
    found = [_Check(field=f"checks[{place}]", spec=spec) for place, spec in enumerate(scenario.checks)]
    for number, turn in enumerate(scenario.turns):
        found += [_Check(field=f"turns[{number}].checks[{place}]", spec=spec) for place, spec in enumerate(turn.checks)]
    return found + [_Check(field=f"suite.checks[{place}]", spec=spec) for place, spec in enumerate(suite.checks)]


def _personas_of(suite: Suite, scenario: Scenario) -> list[Persona]:
    names = dict.fromkeys([*scenario.personas, *(turn.persona for turn in scenario.turns if turn.persona)])
    return [persona for name in names if (persona := find_named(suite.personas, name)) is not None]


_BRIEF = 80


def _brief(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= _BRIEF else f"{text[:_BRIEF]}…"
