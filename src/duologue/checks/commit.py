"""Answers that end with a commitment: a JSON object that says what the agent will do."""

from __future__ import annotations

from typing import ClassVar, cast

from pydantic import Field

from duologue.checks.base import CheckType, Finding, finding
from duologue.checks.calls import listed
from duologue.checks.registry import check
from duologue.checks.subject import Subject, ids_of
from duologue.config.json_text import json_spans
from duologue.messages import JsonValue
from duologue.models.resources import Resources

_FENCE = "`"


@check("commit", family="JSON")
class Commit(CheckType):
    """The answer holds a commitment: a JSON object, or one under the key ``commit``, with all the fields."""

    renamed: ClassVar = {"fields": "commit_fields"}

    commit_fields: list[str] = Field(default=[])
    """The fields that it must have."""
    must_end_with_commit: bool = True
    """Nothing may follow it."""

    def look(self, subject: Subject, resources: Resources) -> Finding:
        answer = subject.answer
        commitment, rest = last_object(answer.text)
        ids = ids_of([answer])
        if commitment is None:
            return finding(False, "there is no JSON object in the answer", ids)
        inner = commitment.get("commit")
        value = cast("dict[str, JsonValue]", inner) if isinstance(inner, dict) else commitment
        missing = [name for name in self.commit_fields if name not in value]
        if missing:
            return finding(False, f"the commitment lacks {listed(missing)}", ids, commitment=value)
        ends = not rest.strip().strip(_FENCE).strip()
        told = "the answer ends with a commitment" if ends else "the answer goes on after the commitment"
        return finding(ends or not self.must_end_with_commit, told, ids, commitment=value)


def last_object(text: str) -> tuple[dict[str, JsonValue] | None, str]:
    """The last JSON object of a text that is not inside another one, and what follows it; (None, '') without one."""
    spans = list(json_spans(text, opening="{"))
    return (cast("dict[str, JsonValue]", spans[-1].value), text[spans[-1].end :]) if spans else (None, "")
