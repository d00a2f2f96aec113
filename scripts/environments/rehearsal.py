"""One rehearsal of an agent of a framework, run inside that framework's environment by ``scripts/fresh-environments``.

    python rehearsal.py FRAMEWORK

The agent, the simulated user and the judge ask one stub on loopback, which speaks OpenAI's Chat Completions. Ends
with 0 if the judge says that it passes.
"""

from __future__ import annotations

import asyncio
import importlib.util
import json
import os
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import duologue

Ask = Callable[[str], Awaitable[str]]
INSTRUCTIONS = "You work in the support of a shop."
ANSWER = "Your order 4711 is on its way."
JUDGEMENT = {
    "criteria": [{"id": "c1", "reason": "It does.", "evidence": ["m2"], "decision": "true"}],
    "verdict": "pass",
    "reasoning": "It is met.",
}


def langgraph(url: str) -> Ask:
    """An agent of LangChain, which runs on LangGraph."""
    from langchain.agents import create_agent
    from langchain_openai import ChatOpenAI

    agent = create_agent(ChatOpenAI(model="gpt-4o", base_url=url, api_key="x"), system_prompt=INSTRUCTIONS)

    async def ask(text: str) -> str:
        state = await agent.ainvoke({"messages": [("user", text)]})
        return str(state["messages"][-1].content)

    return ask


def openai_agents(url: str) -> Ask:
    """An agent of the OpenAI Agents SDK, on Chat Completions."""
    from agents import Agent, OpenAIChatCompletionsModel, Runner
    from openai import AsyncOpenAI

    model = OpenAIChatCompletionsModel("gpt-4o", AsyncOpenAI(base_url=url, api_key="x"))
    agent = Agent(name="support", instructions=INSTRUCTIONS, model=model)

    async def ask(text: str) -> str:
        return str((await Runner.run(agent, text)).final_output)

    return ask


def pydantic_ai(url: str) -> Ask:
    """An agent of PydanticAI."""
    from pydantic_ai import Agent
    from pydantic_ai.models.openai import OpenAIChatModel
    from pydantic_ai.providers.openai import OpenAIProvider

    model = OpenAIChatModel("gpt-4o", provider=OpenAIProvider(base_url=url, api_key="x"))
    agent = Agent(model, instructions=INSTRUCTIONS)

    async def ask(text: str) -> str:
        return str((await agent.run(text)).output)

    return ask


def crewai(url: str) -> Ask:
    """An agent of CrewAI."""
    from crewai import LLM, Agent

    llm = LLM(model="openai/gpt-4o", base_url=url, api_key="x")
    agent = Agent(role="Support", goal="Help", backstory=INSTRUCTIONS, llm=llm, verbose=False)

    async def ask(text: str) -> str:
        return str((await agent.kickoff_async(text)).raw)

    return ask


def google_adk(url: str) -> Ask:
    """An agent of Google's ADK, whose model is asked through LiteLLM."""
    from google.adk.agents import LlmAgent
    from google.adk.models.lite_llm import LiteLlm
    from google.adk.runners import InMemoryRunner
    from google.genai import types

    model = LiteLlm(model="openai/gpt-4o", api_base=url, api_key="x")
    runner = InMemoryRunner(agent=LlmAgent(name="support", model=model, instruction=INSTRUCTIONS), app_name="shop")

    async def ask(text: str) -> str:
        session = await runner.session_service.create_session(app_name="shop", user_id="u")
        content = types.Content(role="user", parts=[types.Part(text=text)])
        answer = ""
        async for event in runner.run_async(user_id="u", session_id=session.id, new_message=content):
            if event.is_final_response() and event.content and event.content.parts:
                answer = event.content.parts[0].text or ""
        return answer

    return ask


def llama_index(url: str) -> Ask:
    """An agent of LlamaIndex."""
    from llama_index.core.agent.workflow import FunctionAgent
    from llama_index.llms.openai_like import OpenAILike

    llm = OpenAILike(
        model="gpt-4o", api_base=url, api_key="x", is_chat_model=True, is_function_calling_model=True, max_retries=0
    )
    agent = FunctionAgent(llm=llm, system_prompt=INSTRUCTIONS)

    async def ask(text: str) -> str:
        return str(await agent.run(text))

    return ask


AGENTS: dict[str, Callable[[str], Ask]] = {
    "crewai": crewai,
    "google-adk": google_adk,
    "langgraph": langgraph,
    "llama-index": llama_index,
    "openai-agents": openai_agents,
    "pydantic-ai": pydantic_ai,
}


def _stub() -> ModuleType:
    path = Path(__file__).parents[2] / "tests" / "fakes" / "openai_server.py"
    spec = importlib.util.spec_from_file_location("openai_server", path)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules["openai_server"] = module
    spec.loader.exec_module(module)
    return module


async def rehearse(framework: str) -> duologue.ScenarioResult:
    """One conversation of four messages, and what the judge says of it."""
    stub = _stub()

    def reply(request: dict[str, Any]) -> Any:
        if INSTRUCTIONS in json.dumps(request["messages"]):
            return stub.text(ANSWER)
        asked_for = request["response_format"]["json_schema"]["schema"]["properties"]
        return stub.text(json.dumps(JUDGEMENT if "criteria" in asked_for else {"message": "It is number 4711."}))

    class Support(duologue.AgentAdapter):
        async def call(self, input: duologue.AgentInput) -> str:
            return await ask(input.last_new_user_message_str())

    async with stub.openai_server() as server:
        server.default = reply
        ask = AGENTS[framework](server.url)
        model = duologue.ModelConfig(model="openai/gpt-4o", api_base=server.url, api_key="x")
        return await duologue.arun(
            "where is my order",
            "A customer asks where an order is, and gives its number.",
            agents=[
                Support(),
                duologue.UserSimulatorAgent(model=model),
                duologue.JudgeAgent(criteria=["The agent says where the order is."], model=model),
            ],
            script=[
                duologue.user("Where is my order?"),
                duologue.agent(),
                duologue.user(),
                duologue.agent(),
                duologue.judge(),
            ],
            verbose=False,
        )


def main() -> int:
    """The rehearsal of the framework named on the command line."""
    result = asyncio.run(rehearse(sys.argv[1]))
    return 0 if result.success and len(result.messages) == 4 else 1


if __name__ == "__main__":
    code = main()
    # Some frameworks leave threads behind that keep a process from ending.
    os._exit(code)
