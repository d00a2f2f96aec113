"""The support of a shop in the OpenAI Agents SDK."""

import os

from agents import Agent, OpenAIResponsesModel, function_tool, set_tracing_disabled
from openai import AsyncOpenAI

from duologue.integrations import OpenAIAgents

set_tracing_disabled(True)


@function_tool
def find_order(number: str) -> str:
    """Look an order up."""
    return f"Order {number} is on its way"


@function_tool
def refund_order(number: str) -> str:
    """Refund an order."""
    return f"Order {number} is refunded"


def make(model: str = "gpt-5-mini"):
    client = AsyncOpenAI(base_url=os.environ["SUPPORT_MODEL_URL"], api_key="x", max_retries=0)
    return Agent(name="support", tools=[find_order, refund_order], model=OpenAIResponsesModel(model, client))


AGENT = OpenAIAgents(make())
DOWN = OpenAIAgents(make("down"))
FACTORY = OpenAIAgents(make)
