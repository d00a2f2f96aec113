"""Checks that a language model decides. Its score is the check's score, and it must say that the criteria are met.

With ``min_score`` the judge must say so and the score must reach it; without, its word decides. An answer that is no
judgement is an error, never a pass.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from duologue.checks.base import CheckType, Finding, skipped
from duologue.checks.calls import listed
from duologue.checks.judging import Case, Reply, judged
from duologue.checks.problems import nearest
from duologue.checks.registry import check
from duologue.checks.subject import Subject
from duologue.checks.tools import session
from duologue.journal.events import MessageAdded
from duologue.models.choice import ModelChoice, choose
from duologue.models.resources import Resources


class Judged(CheckType):
    """What all checks with a judge have in common."""

    model: str | None = None
    """The model that judges, such as ``openai/gpt-5-mini``; the judge of the suite or the default model otherwise."""
    judge: str | None = None
    """The name of a judge that the suite has set up, in place of ``model``."""
    prompt: str | None = None
    """The name of an instruction that the suite has set up, in place of the built-in one."""
    system_prompt: str | None = None
    """Rules for the judge, in place of the built-in ones."""
    temperature: float | None = Field(default=None, ge=0)
    """Of the judge; left to the model's configuration if it is left out."""
    max_tokens: int | None = Field(default=None, ge=1)
    """Of the judge's answer."""
    expected: Literal["pass", "fail"] = "pass"
    """What the judge is expected to say; with ``fail`` the check passes when the judge does not pass the agent."""

    async def look(self, subject: Subject, resources: Resources) -> Finding:
        case = self.case(subject)
        if isinstance(case, Finding):
            return case
        case = replace(case, instruction=self._instruction(resources), rules=self.system_prompt)
        choice = self.choice(resources)
        reply = await judged(choice, case, subject.input.scope, f"check {self.kind}")
        return self._found(reply, choice, case.criteria)

    def case(self, subject: Subject) -> Case | Finding:
        """What the judge is asked, or what is found without asking."""
        raise NotImplementedError

    def choice(self, resources: Resources) -> ModelChoice:
        """The model that judges. Raises ConfigurationError if there is none."""
        source = resources.judges[self.judge] if self.judge else self.model or resources.judge
        return choose(
            source, temperature=self.temperature, max_tokens=self.max_tokens, purpose=f"The check '{self.kind}'"
        )

    def problems(self, resources: Resources) -> list[str]:
        problems: list[str] = []
        if self.judge and self.model:
            problems.append("judge and model are both given; keep one")
        for what, name, known in (("judge", self.judge, resources.judges), ("prompt", self.prompt, resources.prompts)):
            if name is not None and name not in known:
                names = f"known: {listed(sorted(known))}" if known else "none is set up"
                problems.append(f"{what}: no {what} is called '{name}' ({names}){nearest(name, known)}")
        return problems

    def _instruction(self, resources: Resources) -> str | None:
        name = self.prompt or (None if self.system_prompt else resources.prompt)
        return None if name is None else resources.prompts[name]

    def _found(self, reply: Reply, choice: ModelChoice, criteria: str) -> Finding:
        score = reply.score if reply.score is not None else float(bool(reply.passed))
        passed = reply.passed
        details: dict[str, Any] = {
            "judge": choice.name,
            "criteria": criteria,
            "judge_passed": reply.passed,
            "judge_score": reply.score,
            "evidence": reply.evidence,
        }
        if self.expected == "fail":
            score, passed = 1 - score, None if passed is None else not passed
        return Finding(
            score=score, passed=passed, explanation=reply.reasoning, message_ids=reply.message_ids, details=details
        )


class _Criteria(Judged):
    criteria: str = ""
    """What must be true."""
    rubric: str = ""
    """How the score is given."""

    @model_validator(mode="after")
    def _has_something_to_judge(self) -> Self:
        if not self.criteria.strip() and not self.rubric.strip():
            raise ValueError("criteria or rubric: a judge without them would decide by taste")
        return self


@check("llm_judge", family="Judged by a model")
class LlmJudge(_Criteria):
    """A judge finds the criteria met by the agent's answer."""

    conversation_aware: bool = False
    """Show the judge the conversation before the turn as well."""

    def case(self, subject: Subject) -> Case:
        records = so_far(subject) if self.conversation_aware else subject.records
        answer = subject.answer
        return Case(
            criteria=self.criteria,
            rubric=self.rubric,
            records=records,
            focus="" if subject.whole else answer.message_id,
            response=answer.text,
        )


@check("llm_judge_session", aliases=[session("llm_judge_conversation")], family="Judged by a model", whole=True)
class LlmJudgeSession(_Criteria):
    """A judge finds the criteria met by the conversation as a whole, tool calls and their results included."""

    def case(self, subject: Subject) -> Case:
        return Case(criteria=self.criteria, rubric=self.rubric, records=subject.records, response=subject.answer.text)


@check("llm_judge_tool_calls", family="Judged by a model")
class LlmJudgeToolCalls(_Criteria):
    """A judge finds the criteria met by the tool calls. Skipped where none was made."""

    tools: list[str] | None = Field(default=None, min_length=1)
    """Only these tools; all if it is left out."""

    def case(self, subject: Subject) -> Case | Finding:
        calls = [call for call in subject.calls if self.tools is None or call.name in self.tools]
        if not calls:
            return skipped(f"none of {listed(self.tools)} was called" if self.tools else "no tool was called")
        names = listed(dict.fromkeys(call.name for call in calls))
        return Case(
            criteria=self.criteria,
            rubric=self.rubric,
            sections={"task": f"Judge only the calls of {names}, their arguments and results."},
            records=subject.records,
            response=subject.answer.text,
        )


class FixedCriteria(Judged):
    """A judge whose criteria come with the type."""

    question_for_judge: ClassVar[str]
    """The criteria."""

    def case(self, subject: Subject) -> Case | Finding:
        focus = "" if subject.whole else subject.answer.message_id
        sections = self.sections(subject)
        if isinstance(sections, Finding):
            return sections
        return Case(
            criteria=self.question_for_judge,
            sections=sections,
            records=subject.records,
            focus=focus,
            response=subject.answer.text,
        )

    def sections(self, subject: Subject) -> dict[str, str] | Finding:
        """What else the judge needs, or why it need not be asked."""
        return {}


def so_far(subject: Subject) -> list[MessageAdded]:
    """The conversation until the turn in question."""
    view, turn = subject.input.state.view, subject.input.turn
    return [record for record in view.records if record.turn <= turn] or subject.records
