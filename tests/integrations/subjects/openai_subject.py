"""The support of a shop with the plain OpenAI SDK."""

import os

from openai import AsyncOpenAI

from duologue.integrations import OpenAIChat


def find_order(number: str) -> str:
    """Look an order up."""
    return f"Order {number} is on its way"


def refund_order(number: str) -> str:
    """Refund an order."""
    return f"Order {number} is refunded"


def make():
    return AsyncOpenAI(base_url=os.environ["SUPPORT_MODEL_URL"], api_key="x", max_retries=0)


client, tools = make(), [find_order, refund_order]
AGENT = OpenAIChat(client, model="gpt-5-mini", tools=tools)
DOWN = OpenAIChat(client, model="down", tools=tools)
FACTORY = OpenAIChat(make, model="gpt-5-mini", tools=tools)
