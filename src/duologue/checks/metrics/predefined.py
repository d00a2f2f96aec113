"""The predefined metrics: eight with weights that sum to 1, and task completion, which has no weight by default."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TypeAlias, cast

from duologue.checks.base import nearest
from duologue.checks.metrics.metric import HIGHEST, LOWEST, Metric, ScoreType, Tier
from duologue.errors import ConfigurationError


def _scale(*steps: str) -> dict[int, str]:
    return dict(enumerate(steps))


_OTHER = {"other": "none of the other codes fits; the reason says what went wrong"}
_NO_TOOLS = "the agent has no tools, or nothing in the conversation called for one and none was called"
_NO_CALLS = "no tool was called and none should have been"

TOOL_ROUTING = Metric(
    name="tool_routing",
    tier=Tier.EXECUTION,
    weight=0.15,
    description="The right tool is called, at the right moment, and no other.",
    rubric=_scale(
        "A call does harm that cannot be undone, or none of the tools that the task needs is called.",
        "Most calls are of the wrong tool, or come when they must not.",
        "A tool that matters is left out, called twice with effect, or called before its time.",
        "What matters is called; there are needless calls, or a detour through a wrong one.",
        "The right tools in a workable order, with one slip that changed nothing.",
        "Every call that was needed, none that was not, each when it was due.",
    ),
    failure_codes={
        "tool_not_called": "a tool that was needed was not called",
        "wrong_tool": "another tool was called than the one that was needed",
        "needless_call": "a tool was called without need",
        "wrong_order": "tools were called in an order that does not work",
        "acted_without_consent": "something with consequences was done before the user agreed",
        **_OTHER,
    },
    not_applicable=_NO_TOOLS,
)
PARAMETER_EXTRACTION = Metric(
    name="parameter_extraction",
    tier=Tier.EXECUTION,
    weight=0.15,
    description="Tools get the values that the user gave, complete and in the form they need.",
    rubric=_scale(
        "Values that decide the outcome are made up or belong to somebody else.",
        "Most arguments are wrong or missing.",
        "A value that matters is wrong, missing, or older than the user's correction.",
        "Values that matter are right; a lesser one is wrong, missing or in the wrong form.",
        "All values are right; one is in an unusual form that did no harm.",
        "Every value is what the user or an earlier result said, in the form that the tool asks for.",
    ),
    failure_codes={
        "invented_value": "an argument that nobody gave",
        "missing_value": "an argument was left out that was known or could have been asked for",
        "misheard_value": "a value differs from what the user said",
        "outdated_value": "the user had corrected the value",
        "wrong_format": "a date, number or other value in a form that the tool does not take",
        **_OTHER,
    },
    not_applicable=_NO_CALLS,
)
RESULT_INTERPRETATION = Metric(
    name="result_interpretation",
    tier=Tier.EXECUTION,
    weight=0.15,
    description="What tools answered is understood, passed on correctly and acted upon.",
    rubric=_scale(
        "The agent says the opposite of what a tool answered, or calls a failure a success.",
        "Results are mostly ignored or misread.",
        "A result that matters is misread, or a failed call is passed over.",
        "The main point is passed on; something that the user needs is left out or blurred.",
        "Results are used correctly, with a small lack of precision.",
        "Every result is understood, failures included, and decides what happens next.",
    ),
    failure_codes={
        "ignored_result": "the answer of a tool was not used",
        "misread_result": "the answer of a tool was passed on wrongly",
        "hidden_failure": "a failed call was not noticed, or was presented as a success",
        "no_recovery": "a failure was noticed and nothing sensible was done about it",
        **_OTHER,
    },
    not_applicable=_NO_CALLS,
)
GROUNDING_FIDELITY = Metric(
    name="grounding_fidelity",
    tier=Tier.KNOWLEDGE,
    weight=0.125,
    description="What the agent states rests on its instructions, its tools or the user's own words.",
    rubric=_scale(
        "An invention that can cost the user money, safety or rights.",
        "Several statements of fact rest on nothing.",
        "A statement that matters rests on nothing or contradicts a source.",
        "What matters is backed; a side remark is not.",
        "Everything is backed, once more firmly said than the source allows.",
        "Every statement can be traced to a source, and what is not known is called unknown.",
    ),
    failure_codes={
        "invented_fact": "a statement without any source",
        "contradicts_source": "a statement that a source refutes",
        "false_action_claim": "the agent says that it did something that was not done",
        "overstated_certainty": "a guess is presented as certain",
        **_OTHER,
    },
)
INSTRUCTION_COMPLIANCE = Metric(
    name="instruction_compliance",
    tier=Tier.KNOWLEDGE,
    weight=0.125,
    description="The agent keeps the rules that it was given.",
    rubric=_scale(
        "A rule is broken that protects people, data or money.",
        "Several rules are broken, or one again and again.",
        "A rule that matters is broken or skipped.",
        "The important rules are kept; a lesser one is missed.",
        "All rules are kept, one of them awkwardly.",
        "All rules are kept, in wording and in purpose, also under pressure.",
    ),
    failure_codes={
        "forbidden_action": "something was done or said that a rule forbids",
        "skipped_step": "a step that a rule asks for was left out",
        "out_of_scope": "the agent took on what is not its task",
        "disclosure": "something was given away that has to stay inside",
        **_OTHER,
    },
    not_applicable="no instructions of the agent are given or can be seen in the conversation",
)
INFORMATION_GATHERING = Metric(
    name="information_gathering",
    tier=Tier.PROCESS,
    weight=0.10,
    description="The agent finds out what it needs, without asking for what it has.",
    rubric=_scale(
        "The agent goes ahead without anything that it had to know.",
        "Most of what was needed is never asked for.",
        "A detail that matters is not asked for, or an ambiguity that matters is not cleared up.",
        "What is needed is found out, with questions that repeat or tire the user.",
        "Everything needed is found out, with one question too many.",
        "Exactly what is needed is asked for, in a sensible order, and confirmed where it matters.",
    ),
    failure_codes={
        "missing_question": "something needed was not asked for",
        "repeated_question": "the user was asked for what was already known",
        "unresolved_ambiguity": "several readings were possible and one was simply taken",
        "not_confirmed": "something with consequences was not confirmed",
        **_OTHER,
    },
    not_applicable="the agent needed nothing from the user that the user had not said unasked",
)
CONVERSATION_MANAGEMENT = Metric(
    name="conversation_management",
    tier=Tier.PROCESS,
    weight=0.10,
    description="The conversation stays on course, remembers, recovers and comes to an end.",
    rubric=_scale(
        "The conversation breaks down: the user is stuck, ignored or sent away.",
        "The agent loses the thread for most of the conversation.",
        "A loop, a forgotten fact that matters, or an end with something open.",
        "It gets there, with detours that the user has to put right.",
        "It flows, with one rough passage that is soon repaired.",
        "It moves forward with every turn, follows changes of mind and ends when all is settled.",
    ),
    failure_codes={
        "loop": "the same exchange came again without progress",
        "lost_context": "something said before was forgotten",
        "ignored_user": "a question or a correction of the user was passed over",
        "ended_early": "the agent ended with something open",
        "did_not_end": "the agent went on when all was settled",
        **_OTHER,
    },
)
RESPONSE_DELIVERY = Metric(
    name="response_delivery",
    tier=Tier.DELIVERY,
    weight=0.10,
    description="Answers are clear, of fitting length and in a fitting tone.",
    rubric=_scale(
        "Insulting, in the wrong language, or not to be understood.",
        "Mostly confusing, or mostly in a tone that drives the user away.",
        "An answer that matters is unclear, buried in text, or cold where care was due.",
        "It can be understood, and is often too long, stiff or repetitive.",
        "Clear and friendly, with a phrase here or there that could be shorter.",
        "Clear, brief, in a tone that fits the user and the channel all the way through.",
    ),
    failure_codes={
        "too_long": "more was said than the user can take in",
        "unclear": "the user cannot tell what is meant",
        "wrong_tone": "rude, cold, servile or flippant",
        "wrong_form": "markup, lists, identifiers or a language that do not fit the channel",
        **_OTHER,
    },
)
TASK_COMPLETION = Metric(
    name="task_completion",
    tier=Tier.EXECUTION,
    weight=0.0,
    score_type=ScoreType.BINARY,
    description="What the user came for is done.",
    rubric={
        LOWEST: "Something that the user asked for, and that the agent could do, is not done.",
        HIGHEST: "All that the user asked for is done, or rightly declined with a way forward.",
    },
    failure_codes={
        "not_attempted": "the agent did not try",
        "partly_done": "some of it is done",
        "wrong_outcome": "something else was done",
        "gave_up": "the agent stopped or handed over without need",
        **_OTHER,
    },
)

DEFAULT_METRICS = (
    TOOL_ROUTING,
    PARAMETER_EXTRACTION,
    RESULT_INTERPRETATION,
    GROUNDING_FIDELITY,
    INSTRUCTION_COMPLIANCE,
    INFORMATION_GATHERING,
    CONVERSATION_MANAGEMENT,
    RESPONSE_DELIVERY,
)
"""What is graded where nothing else is said."""
PREDEFINED = (*DEFAULT_METRICS, TASK_COMPLETION)
"""All metrics that have a name here. Task completion has no weight until it is given one."""


Metrics: TypeAlias = Iterable[Metric | str] | Mapping[str, float]
"""Metrics, names of predefined ones, or names with weights."""


def metrics_of(given: Metrics) -> tuple[Metric, ...]:
    """Metrics as such: names stand for predefined ones; a mapping gives each name a weight.

    Raises:
        ConfigurationError: a name that is not predefined, the same name twice, or no metric with a weight.
    """
    if isinstance(given, str):
        raise ConfigurationError(f"metrics is the text '{given}'; give a list of names, such as ['{given}']")
    if isinstance(given, Mapping):
        weighted = cast("Mapping[str, float]", given)
        metrics = tuple(predefined(name).weighing(weight) for name, weight in weighted.items())
    else:
        metrics = tuple(predefined(item) if isinstance(item, str) else item for item in given)
    names = [metric.name for metric in metrics]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ConfigurationError(f"metrics are told apart by name; found twice: {', '.join(twice)}")
    if metrics and not any(metric.weight for metric in metrics):
        raise ConfigurationError(
            f"none of the metrics has a weight, so there is no score: {', '.join(names)}; "
            "give one a weight with metric.weighing(1.0), or as {'task_completion': 1.0}"
        )
    return metrics


def predefined(name: str) -> Metric:
    """The predefined metric of that name. Raises ConfigurationError if there is none."""
    for metric in PREDEFINED:
        if metric.name == name:
            return metric
    known = [metric.name for metric in PREDEFINED]
    raise ConfigurationError(
        f"no metric is called '{name}'{nearest(name, known) or '.'} Known: {', '.join(known)}. "
        "One of your own is a Metric(name=…, tier=…, weight=…, rubric={0: …, …, 5: …})."
    )
