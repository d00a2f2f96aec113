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
    """Retrieved documents. Default: the results of the agent's tool calls."""
    context_field: str | None = None
    """Name of the entry in the scenario's metadata that holds the documents, instead of ``contexts``."""

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
        return [call.result for call in subject.shown_calls if call.result]


class _Question(_Contexts):
    question: str | None = None
    """The question. Default: the user's last message."""

    def more(self, subject: Subject) -> dict[str, str]:
        return {"question": self.question or subject.last_user_text()}


@check("faithfulness", family="Answers from documents")
class Faithfulness(_Contexts):
    """A judge decides that every statement of the answer follows from the documents. The score is that share."""

    question_for_judge: ClassVar = (
        "Every factual statement of the answer follows from the documents. The score is the share that does."
    )


@check("hallucination", family="Answers from documents")
class Hallucination(_Contexts):
    """A judge decides that the answer neither contradicts the documents nor makes anything up. A high score is good."""

    question_for_judge: ClassVar = (
        "The answer contains nothing that contradicts the documents and no fact that is in none of them. The score is "
        "1.0 if there is no such thing, and lower the more there is."
    )


@check("answer_relevancy", family="Answers from documents")
class AnswerRelevancy(FixedCriteria):
    """A judge decides that the answer addresses the question."""

    question_for_judge: ClassVar = (
        "The answer addresses the question, in full and without digression. Whether it is right does not matter here."
    )
    question: str | None = None
    """The question. Default: the user's last message."""

    def sections(self, subject: Subject) -> dict[str, str] | Finding:
        return {"question": self.question or subject.last_user_text()}


@check("contextual_precision", family="Answers from documents")
class ContextualPrecision(_Question):
    """A judge decides that relevant documents are ranked before irrelevant ones."""

    question_for_judge: ClassVar = (
        "The documents that help to answer the question are ranked before those that do not. The score is the share of "
        "helpful ones that stand in the right place."
    )


@check("contextual_relevancy", family="Answers from documents")
class ContextualRelevancy(_Question):
    """A judge decides that the documents are relevant to the question. The score is the share that is."""

    question_for_judge: ClassVar = "The documents matter for the question. The score is the share of them that does."


@check("contextual_recall", family="Answers from documents")
class ContextualRecall(_Contexts):
    """A judge decides that the documents contain everything the reference answer needs."""

    renamed: ClassVar = {"context": "contexts", "expected_output": "reference"}
    question_for_judge: ClassVar = (
        "Every statement of the reference answer can be found in the documents. The score is the share that can."
    )
    reference: str = Field(min_length=1)
    """Reference answer."""

    def more(self, subject: Subject) -> dict[str, str]:
        return {"reference_answer": self.reference}
