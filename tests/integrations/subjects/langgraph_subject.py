"""The support of a shop in LangGraph."""

import os

from langchain.agents import create_agent
from langchain_openai import ChatOpenAI
from langgraph.checkpoint.memory import InMemorySaver

from duologue.integrations import LangGraph


def find_order(number: str) -> str:
    """Look an order up."""
    return f"Order {number} is on its way"


def refund_order(number: str) -> str:
    """Refund an order."""
    return f"Order {number} is refunded"


def make(model: str = "gpt-5-mini"):
    chat = ChatOpenAI(model=model, base_url=os.environ["SUPPORT_MODEL_URL"], api_key="x", max_retries=0)
    return create_agent(chat, [find_order, refund_order], checkpointer=InMemorySaver())


AGENT = LangGraph(make())
DOWN = LangGraph(make("down"))
FACTORY = LangGraph(make)
