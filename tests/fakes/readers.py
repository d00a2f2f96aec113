"""Everything in Duologue that reads an answer from outside, each as a function of a URL and a number of seconds.

``python readers.py URL MODE…`` asks one reader after the other and prints, a line of JSON each, the memory that it took
and whether it failed as it should.
"""

from __future__ import annotations

import asyncio
import json
import ssl
import sys
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any
from unittest import mock

import duologue
from duologue.agents.http import HttpAgent
from duologue.agents.tools.a2a_client import A2aClient
from duologue.agents.tools.call import ToolFault
from duologue.agents.tools.live import live
from duologue.agents.tools.mcp_connection import McpConnection
from duologue.agents.tools.web import Web
from duologue.checks.external import ExternalError, send
from duologue.context import Context, SystemClock
from duologue.demo.scenarios import fetch_book
from duologue.errors import AgentError, CheckError, ConfigurationError, JudgeError, ModelError
from duologue.messages import user_message
from duologue.models.base import ModelRequest
from duologue.models.names import ModelName
from duologue.models.openai_compatible import OpenAICompatibleClient
from duologue.models.provider import ProviderModel, RetryPolicy
from duologue.settings import ModelConfig
from duologue.specs.prompts import Tool
from duologue.specs.suite import McpServer, Suite

QUESTION = ModelRequest(messages=(user_message("Hello?"),))
ONCE = RetryPolicy(attempts=1)


class _Hurried(SystemClock):
    """A judge waits before it asks again; here it does not."""

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(0)


HURRIED = Context(clock=_Hurried(), seed=0)


class UnhealthyError(Exception):
    """The local server is not what it should be."""


async def agent(url: str, seconds: float) -> object:
    async with HttpAgent(f"{url}/v1/chat/completions", timeout=seconds) as asked:
        script = [duologue.user(), duologue.agent(), duologue.succeed()]
        return await duologue.run("a", "b", [asked, duologue.ScriptedUser(["Hello?"])], script=script, verbose=False)


async def agent_streaming(url: str, seconds: float) -> object:
    async with HttpAgent(f"{url}/v1/chat/completions", timeout=seconds, stream=True) as asked:
        script = [duologue.user(), duologue.agent(), duologue.succeed()]
        agents = [asked, duologue.ScriptedUser(["Hello?"])]
        return [chunk async for chunk in duologue.stream("a", "b", agents, script=script, verbose=False)]


async def model(url: str, seconds: float) -> object:
    client = OpenAICompatibleClient("m", f"{url}/chat/completions")
    try:
        return await ProviderModel("vllm/m", client, extra={"timeout": seconds}, retry=ONCE).answer(QUESTION)
    finally:
        await client.aclose()


async def judge(url: str, seconds: float) -> object:
    client = OpenAICompatibleClient("m", f"{url}/chat/completions")
    asked = ProviderModel("vllm/m", client, extra={"timeout": seconds}, retry=ONCE)
    script = [duologue.user(), duologue.judge()]
    judging = duologue.JudgeAgent(criteria=["The agent greets."], model=asked)
    try:
        agents = [judging, duologue.ScriptedUser(["Hello?"])]
        return await duologue.run("a", "b", agents, script=script, verbose=False, context=HURRIED)
    finally:
        await client.aclose()


def _provider(name: str, address: Callable[[Any, str], None]) -> Callable[[str, float], Awaitable[object]]:
    async def ask(url: str, seconds: float) -> object:
        from duologue.models import _through_pydantic_ai as other

        provider, _, reference = name.partition("/")
        client = other.client_for(
            ModelName(provider=provider, reference=reference), ModelConfig(model=name, api_key="key-of-a-test")
        )
        one = client._model
        assert isinstance(one, other.PerLoop)
        address((await one.get()).client, url)
        try:
            return await ProviderModel(name, client, extra={"timeout": seconds}, retry=ONCE).answer(QUESTION)
        finally:
            await one.aclose()

    return ask


def _anthropic(client: Any, url: str) -> None:
    client.base_url = url


def _google(client: Any, url: str) -> None:
    client._api_client._http_options.base_url = url


async def rest_eval(url: str, seconds: float) -> object:
    async with asyncio.timeout(seconds):
        return await send("POST", url, {"content": "Hello!"}, {})


async def live_tool(url: str, seconds: float) -> object:
    tool = Tool.model_validate(
        {
            "name": "look",
            "description": "Looks.",
            "mode": "live",
            "http": {"url": url, "timeout_ms": int(seconds * 1000)},
        }
    )
    web = Web()
    try:
        return await live(tool, web)({}, None)  # type: ignore[arg-type]
    finally:
        await web.aclose()


async def a2a(url: str, seconds: float) -> object:
    return await _a2a(url, seconds, card={})


async def a2a_card(url: str, seconds: float) -> object:
    return await _a2a(url, seconds, card=None)


async def _a2a(url: str, seconds: float, card: Any) -> object:
    web = Web()
    try:
        return await A2aClient("b", url, web=web, headers=lambda: ({}, []), seconds=seconds, card=card).send("Hello?")
    finally:
        await web.aclose()


def _mcp(transport: str) -> Callable[[str, float], Awaitable[object]]:
    async def ask(url: str, seconds: float) -> object:
        server = McpServer.model_validate(
            {"name": "s", "url": url, "transport": transport, "timeout_ms": int(seconds * 1000)}
        )
        connection = McpConnection(server, Suite(name="s"), lambda *_: None)
        try:
            return await connection.tools()
        finally:
            await connection.aclose()

    return ask


async def hub(url: str, seconds: float) -> object:
    from duologue.models.local import _hub

    with mock.patch.object(_hub, "endpoint", return_value=url), mock.patch.object(_hub, "HUB_TIMEOUT", seconds):
        return await asyncio.to_thread(_hub.look_up, "someone/model/x.gguf")


async def engine(url: str, seconds: float) -> object:
    from duologue.models.local import _engine

    return await _engine.post(_state(url), "/v1/completions", {"prompt": "x"}, timeout=seconds)


async def health(url: str, seconds: float) -> object:
    from duologue.models.local._launcher import healthy

    if not await asyncio.to_thread(healthy, _state(url), seconds):
        raise UnhealthyError
    return True


def _state(url: str) -> Any:
    from duologue.models.local._launcher import ServerOptions, ServerState

    class Elsewhere(ServerState):
        @property
        def url(self) -> str:
            return url

    options = ServerOptions(name="m", weights="/nowhere", digest="0")
    return Elsewhere(pid=1, port=1, api_key="key-of-a-test", options=options, started=0.0)


async def demo(url: str, seconds: float) -> object:
    with mock.patch("duologue.demo.scenarios._STATE_TIMEOUT", seconds):
        return await fetch_book(url, "t")


READERS: dict[str, tuple[Callable[[str, float], Awaitable[object]], tuple[type[BaseException], ...]]] = {
    "agent": (agent, (AgentError,)),
    "agent, streaming": (agent_streaming, (AgentError,)),
    "model": (model, (ModelError,)),
    "judge": (judge, (JudgeError,)),
    "model of Anthropic": (_provider("anthropic/claude-haiku-4-5", _anthropic), (ModelError,)),
    "model of Google": (_provider("google/gemini-2.5-flash", _google), (ModelError,)),
    "rest_eval": (rest_eval, (ExternalError, TimeoutError)),
    "live tool": (live_tool, (ToolFault,)),
    "A2A agent": (a2a, (ToolFault,)),
    "A2A card": (a2a_card, (ToolFault,)),
    "MCP server": (_mcp("streamable_http"), (ToolFault,)),
    "MCP server, SSE": (_mcp("sse"), (ToolFault,)),
    "hub": (hub, (ModelError, ConfigurationError)),
    "local engine": (engine, (ModelError,)),
    "health of the local engine": (health, (UnhealthyError,)),
    "demo": (demo, (CheckError,)),
}
"""Readers by name, and the errors in which one may end."""


def _memory() -> int:
    """The most memory that this process has had, in bytes."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    raise OSError("no VmHWM")


def without_certificates() -> AbstractContextManager[object]:
    """Clients do not read the certificates of the world, which takes most of their time: loopback needs none."""
    return mock.patch.object(ssl.SSLContext, "load_verify_locations")


async def _main(url: str, modes: list[str]) -> None:
    for warm in (True, False):
        for name, (ask, errors) in READERS.items():
            for mode in ["empty"] if warm else modes:
                before, failed = _memory(), False
                try:
                    await ask(f"{url}/{mode}/{name.replace(' ', '-')}-{mode}", 0.5 if warm else 60.0)
                except errors:
                    failed = True
                if not warm:
                    row = {"reader": name, "mode": mode, "memory": _memory() - before, "failed": failed}
                    print(json.dumps(row), flush=True)


if __name__ == "__main__":
    with without_certificates():
        asyncio.run(_main(sys.argv[1], sys.argv[2:]))
