"""Answers from documents, as a model judges them: what the answer rests on, and what was retrieved for it."""

from __future__ import annotations

import json
from typing import Any, ClassVar, Self, cast

from pydantic import Field, model_validator

from duologue.checks.base import Finding, broken
from duologue.checks.judge_checks import FixedCriteria
from duologue.checks.registry import check
from duologue.checks.subject import Subject
from duologue.checks.text import OneOrMore


class _Contexts(FixedCriteria):
    renamed: ClassVar = {"context": "contexts"}

    contexts: OneOrMore | None = None
    """The documents that were retrieved; what tools answered, if neither this nor ``context_field`` is given."""
    context_field: str | None = None
    """The entry of the scenario's metadata that holds them, in place of ``contexts``."""

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if self.contexts is not None and self.context_field is not None:
            raise ValueError("contexts or context_field, not both")
        return self

    def sections(self, subject: Subject) -> dict[str, str] | Finding:
        documents = self._documents(subject)
        if not documents:
            return broken(
                "there are no documents to compare with: give contexts or context_field, or let a tool answer"
            )
        numbered = "\n".join(f"[{number}] {text}" for number, text in enumerate(documents, 1))
        return {"documents": numbered, **self.more(subject)}

    def more(self, subject: Subject) -> dict[str, str]:
        """Sections beside the documents."""
        return {}

    def _documents(self, subject: Subject) -> list[str]:
        if self.contexts is not None:
            return self.contexts
        if self.context_field is not None:
            started = subject.input.state.view.started
            value = started.scenario.metadata.get(self.context_field) if started else None
            items = cast("list[Any]", value) if isinstance(value, list) else [] if value is None else [value]
            return [item if isinstance(item, str) else json.dumps(item, ensure_ascii=False) for item in items]
        return [call.result for call in subject.calls if call.result]


class _Question(_Contexts):
    question: str | None = None
    """What was asked; the user's last message if it is left out."""

    def more(self, subject: Subject) -> dict[str, str]:
        return {"question": self.question or subject.last_user_text()}


@check("faithfulness", family="Answers from documents")
class Faithfulness(_Contexts):
    """Every statement of the answer follows from the documents."""

    question_for_judge: ClassVar = (
        "Every factual statement of the answer follows from the documents. The score is the share that does."
    )


@check("hallucination", family="Answers from documents")
class Hallucination(_Contexts):
    """Nothing in the answer contradicts the documents or is made up. A high score is good."""

    question_for_judge: ClassVar = (
        "The answer contains nothing that contradicts the documents and no fact that is in none of them. The score is "
        "1.0 if there is no such thing, and lower the more there is."
    )


@check("answer_relevancy", family="Answers from documents")
class AnswerRelevancy(FixedCriteria):
    """The answer addresses the question."""

    question_for_judge: ClassVar = (
        "The answer addresses the question, in full and without digression. Whether it is right does not matter here."
    )
    question: str | None = None
    """What was asked; the user's last message if it is left out."""

    def sections(self, subject: Subject) -> dict[str, str] | Finding:
        return {"question": self.question or subject.last_user_text()}


@check("contextual_precision", family="Answers from documents")
class ContextualPrecision(_Question):
    """The documents that matter for the question stand before those that do not."""

    question_for_judge: ClassVar = (
        "The documents that help to answer the question are ranked before those that do not. The score is the share of "
        "helpful ones that stand in the right place."
    )


@check("contextual_relevancy", family="Answers from documents")
class ContextualRelevancy(_Question):
    """The documents are about the question."""

    question_for_judge: ClassVar = "The documents matter for the question. The score is the share of them that does."


@check("contextual_recall", family="Answers from documents")
class ContextualRecall(_Contexts):
    """The documents hold everything that the right answer needs."""

    renamed: ClassVar = {"context": "contexts", "expected_output": "reference"}
    question_for_judge: ClassVar = (
        "Every statement of the reference answer can be found in the documents. The score is the share that can."
    )
    reference: str = Field(min_length=1)
    """The right answer."""

    def more(self, subject: Subject) -> dict[str, str]:
        return {"reference_answer": self.reference}
