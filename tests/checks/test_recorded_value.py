"""What the source of a recording says of it decides."""

from typing import Any

import pytest

from duologue import checks
from duologue.vocabulary import CheckStatus, Scope


@pytest.mark.parametrize(
    ("params", "facts", "status"),
    [
        ({}, {"reward": 1.0}, CheckStatus.PASSED),
        ({}, {"reward": 0.9999999}, CheckStatus.PASSED),
        ({}, {"reward": 0}, CheckStatus.FAILED),
        ({"min": 0.5}, {"reward": 0.6}, CheckStatus.PASSED),
        ({"field": "status", "equals": "resolved"}, {"status": "resolved"}, CheckStatus.PASSED),
        ({"field": "status", "equals": "resolved"}, {"status": "open"}, CheckStatus.FAILED),
        ({"field": "ok", "equals": True}, {"ok": "true"}, CheckStatus.PASSED),
        ({}, {}, CheckStatus.SKIPPED),
        ({}, {"reward": "high"}, CheckStatus.ERROR),
    ],
)
async def test_what_a_source_says_of_a_recording(build: Any, params: Any, facts: Any, status: CheckStatus) -> None:
    check = checks.create("recorded_value", params, scope=Scope.CONVERSATION)
    outcome = await check.evaluate(build("a: b", metadata={"recording": facts}))
    assert outcome.status is status, outcome
