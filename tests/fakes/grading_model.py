"""A model that grades: it gives each metric and outcome what a test says, in the form that is asked for."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from duologue.journal.events import Usage
from duologue.messages import assistant_message
from duologue.models.base import ModelAnswer, ModelRequest


class Grader:
    """Grades conversations.

    Args:
        scores: by metric, 0 to 5; others get 5.
        outcomes: by outcome (``o1``, ``o2``, …), whether it was reached; others were.
        says: in place of a grading.
    """

    name = "mock/grader"
    timeout = None

    def __init__(
        self,
        scores: Mapping[str, int] | None = None,
        outcomes: Mapping[str, bool] | None = None,
        says: str | None = None,
    ) -> None:
        self.scores, self.outcomes, self.says = scores or {}, outcomes or {}, says
        self.asked: list[ModelRequest] = []

    async def answer(self, request: ModelRequest) -> ModelAnswer:
        self.asked.append(request)
        text = self.says if self.says is not None else json.dumps(self._graded(request))
        return ModelAnswer(
            message=assistant_message(text), usage=Usage(input_tokens=100, output_tokens=20), cost=0.01, model=self.name
        )

    def _graded(self, request: ModelRequest) -> dict[str, Any]:
        schema: dict[str, Any] = request.response_schema or {}
        parts: dict[str, Any] = {}
        for part, form in schema["properties"].items():
            entry = self._metric if part == "metrics" else self._outcome
            parts[part] = {name: entry(name, item) for name, item in form["properties"].items()}
        return parts

    def _metric(self, name: str, form: dict[str, Any]) -> dict[str, Any]:
        score = self.scores.get(name, 5)
        codes = form["properties"]["failure_code"].get("anyOf", [{}])[0].get("enum")
        said = {"passed": score == 5} if "passed" in form["properties"] else {"score": score}
        code = codes[0] if codes and score <= 2 else None
        return {"reason": "so", "evidence": ["m2"], "applies": True, **said, "failure_code": code}

    def _outcome(self, name: str, _: dict[str, Any]) -> dict[str, Any]:
        return {"reason": "so", "evidence": ["m2"], "met": self.outcomes.get(name, True)}
