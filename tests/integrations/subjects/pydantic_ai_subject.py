"""The support of a shop in PydanticAI."""

import os

from openai import AsyncOpenAI
from pydantic_ai import Agent
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.openai import OpenAIProvider

from duologue.integrations import PydanticAI


def find_order(number: str) -> str:
    """Look an order up."""
    return f"Order {number} is on its way"


def refund_order(number: str) -> str:
    """Refund an order."""
    return f"Order {number} is refunded"


def make(model: str = "gpt-5-mini"):
    client = AsyncOpenAI(base_url=os.environ["SUPPORT_MODEL_URL"], api_key="x", max_retries=0)
    chat = OpenAIChatModel(model, provider=OpenAIProvider(openai_client=client))
    return Agent(chat, name="support", tools=[find_order, refund_order])


AGENT = PydanticAI(make())
DOWN = PydanticAI(make("down"))
FACTORY = PydanticAI(make)
