"""The model on this machine plays the user. Skipped where engine or weights are not installed."""

from __future__ import annotations

import re

import pytest

import duologue
from duologue import Persona, Termination, UserSimulatorAgent
from duologue.errors import ConfigurationError
from duologue.models.local import LocalModel

pytestmark = pytest.mark.live


@pytest.fixture(scope="module")
def model():
    try:
        return LocalModel.from_config("local")
    except ConfigurationError as error:
        pytest.skip(str(error))


class Counter(duologue.AgentAdapter):
    """Asks for what has not been said yet, sums up, and does it."""

    def __init__(self, questions, summary, done):
        self.questions = questions
        self.closing = [summary, done]

    async def call(self, input):
        said = " ".join(str(m["content"]) for m in input.messages if m["role"] == "user").lower()
        own = [m["content"] for m in input.messages if m["role"] == "assistant"]
        for question, pattern in self.questions.items():
            if not re.search(pattern, said) and own.count(question) < 2:
                return question
        return next((line for line in self.closing if line not in own), "You are welcome. Goodbye.")


TAXI = Counter(
    {
        "Where should the taxi pick you up?": "hotel central",
        "At what time?": "5:40",
        "How many passengers?": r"\b(3|three)\b",
        "What name is it under?": "omar diaz",
    },
    "A taxi at 5:40 from Hotel Central to the airport. Shall I order it?",
    "Your taxi is ordered. It will be there at 5:40 am.",
)


async def test_it_gives_every_detail_and_leaves_when_it_is_done(model):
    persona = Persona(name="Omar Diaz", facts={"pick-up": "Hotel Central", "time": "5:40 am", "passengers": "3"})
    result = await duologue.arun(
        name="order a taxi",
        description="A guest of a hotel needs a taxi to the airport early tomorrow morning.",
        agents=[TAXI, UserSimulatorAgent(model=model, persona=persona, goal="order a taxi to the airport")],
        max_turns=14,
        verbose=False,
        seed=1,
    )
    said = " ".join(m["content"] for m in result.messages if m["role"] == "user").lower()
    assert not [pattern for pattern in TAXI.questions.values() if not re.search(pattern, said)]
    assert result.termination is Termination.USER_DONE
    assert "Your taxi is ordered. It will be there at 5:40 am." in [m["content"] for m in result.messages]
    assert result.cost == 0.0
    assert result.usage.output_tokens > 0
