"""The support of a shop in CrewAI."""

import os

os.environ.update(CREWAI_DISABLE_TELEMETRY="true", CREWAI_TRACING_ENABLED="false", OTEL_SDK_DISABLED="true")

from crewai import LLM, Agent, Crew, Task
from crewai.tools import tool

from duologue.integrations import CrewAI


@tool("find_order")
def find_order(number: str) -> str:
    """Look an order up."""
    return f"Order {number} is on its way"


@tool("refund_order")
def refund_order(number: str) -> str:
    """Refund an order."""
    return f"Order {number} is refunded"


def make(model: str = "gpt-5-mini"):
    llm = LLM(model=f"openai/{model}", base_url=os.environ["SUPPORT_MODEL_URL"], api_key="x", max_retries=0)
    tools = [find_order, refund_order]
    return Agent(role="support", goal="Help customers", backstory="You work in a shop.", tools=tools, llm=llm)


def make_crew():
    agent = make()
    task = Task(description="Answer. The conversation:\n{conversation}", expected_output="an answer", agent=agent)
    return Crew(agents=[agent], tasks=[task])


AGENT = CrewAI(make())
DOWN = CrewAI(make("down"))
FACTORY = CrewAI(make)
CREW = CrewAI(make_crew)
