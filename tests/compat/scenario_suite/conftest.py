# The only file that knows where it runs: models that need no key, in place of the provider's.
import json

import pytest

import duologue as scenario


@pytest.fixture(autouse=True)
def defaults(monkeypatch):
    monkeypatch.setattr(scenario.ScenarioConfig, "default_config", None)
    scenario.configure(default_model="mock/fixed:i would like a vegetarian dinner", max_turns=5, verbose=False)


@pytest.fixture
def judge_model():
    decision = {"id": "c1", "decision": "true", "reason": "it names a curry", "evidence": ["m2"]}
    answer = {"action": "decide", "criteria": [decision], "reasoning": "a recipe was named", "verdict": "pass"}
    return f"mock/fixed:{json.dumps(answer)}"
