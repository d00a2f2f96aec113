"""The support of a shop in Google ADK."""

import os

os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"

from google.adk.agents import Agent
from google.adk.models.lite_llm import LiteLlm

from duologue.integrations import GoogleADK


def find_order(number: str) -> str:
    """Look an order up."""
    return f"Order {number} is on its way"


def refund_order(number: str) -> str:
    """Refund an order."""
    return f"Order {number} is refunded"


def make(model: str = "gpt-5-mini"):
    llm = LiteLlm(model=f"openai/{model}", api_base=os.environ["SUPPORT_MODEL_URL"], api_key="x", num_retries=0)
    return Agent(name="support", model=llm, tools=[find_order, refund_order], instruction="You work in a shop.")


AGENT = GoogleADK(make())
DOWN = GoogleADK(make("down"))
FACTORY = GoogleADK(make)
