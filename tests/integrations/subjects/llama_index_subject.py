"""The support of a shop in LlamaIndex."""

import os

from llama_index.core.agent.workflow import FunctionAgent
from llama_index.llms.openai_like import OpenAILike

from duologue.integrations import LlamaIndex


def find_order(number: str) -> str:
    """Look an order up."""
    return f"Order {number} is on its way"


def refund_order(number: str) -> str:
    """Refund an order."""
    return f"Order {number} is refunded"


def make(model: str = "gpt-5-mini"):
    llm = OpenAILike(
        model=model,
        api_base=os.environ["SUPPORT_MODEL_URL"],
        api_key="x",
        is_chat_model=True,
        is_function_calling_model=True,
        max_retries=0,
    )
    return FunctionAgent(name="support", tools=[find_order, refund_order], llm=llm)


AGENT = LlamaIndex(make())
DOWN = LlamaIndex(make("down"))
FACTORY = LlamaIndex(make)
