"""A LangGraph server: each test case is a thread of its own, and only new messages are sent."""

from __future__ import annotations

from typing import Any, ClassVar, Literal, cast

from pydantic import BaseModel

from duologue.agents.http.agent import HttpAgent
from duologue.config.redaction import redacted
from duologue.config.spec import EMPTY, JsonObject, Text
from duologue.config.tracebacks import message_of
from duologue.errors import DuologueError
from duologue.http import HttpClients, HttpError, HttpRequest
from duologue.runtimes.base import (
    AgentSnapshot,
    CaseSnapshot,
    RunSnapshot,
    RuntimeRunArgs,
    RuntimeSession,
    RuntimeTestResult,
    TextRuntimeKind,
)
from duologue.runtimes.http import joined_url
from duologue.runtimes.over_http import HttpRuntimeBase, HttpRuntimeConfig, Reached

_PROBE_SECONDS = 10.0


class LangGraphRuntimeConfig(HttpRuntimeConfig):
    """A LangGraph server."""

    kind: Literal["langgraph"] = "langgraph"
    """Always ``langgraph``. The URL is that of the server, such as ``http://127.0.0.1:2024``."""
    assistant_id: Text = "agent"
    """The assistant, or the graph."""
    configurable: JsonObject = EMPTY
    """Values for the configuration of the graph."""


class LangGraphRuntime(HttpRuntimeBase):
    """Runs a graph of a LangGraph server once for each turn, in a thread of the test case."""

    KIND: ClassVar[str] = TextRuntimeKind.LANGGRAPH
    LABEL: ClassVar[str] = "LangGraph"
    DESCRIPTION: ClassVar[str] = "A graph on a LangGraph server, with a thread for each test case"
    CONFIG: ClassVar[type[BaseModel] | None] = LangGraphRuntimeConfig

    def http_agent(self, runtime_config: HttpRuntimeConfig, args: RuntimeRunArgs, reached: Reached) -> HttpAgent:
        """Asks a LangGraph server."""
        config = cast("LangGraphRuntimeConfig", runtime_config)
        extra: dict[str, Any] = {"multitask_strategy": "enqueue"}
        if config.configurable:
            extra["config"] = {"configurable": config.configurable}
        return HttpAgent(
            reached.url,
            preset="langgraph",
            model=config.assistant_id,
            extra_body=extra,
            headers=reached.headers,
            name=self.LABEL,
            timeout=reached.seconds,
            retries=reached.retries,
            trust_private=reached.trust_private,
            max_answer_bytes=reached.max_answer_bytes,
        )

    async def test_connection(
        self, runtime_config: BaseModel, agent: AgentSnapshot, session: RuntimeSession | None
    ) -> RuntimeTestResult:
        """Ask the server ``GET /info``, which costs nothing. It may take ten seconds."""
        case, run = CaseSnapshot(id="probe"), RunSnapshot(run_id="probe")
        args = RuntimeRunArgs(test_case=case, agent_snapshot=agent, run_snapshot=run)
        try:
            self.validate_config(runtime_config, agent, session)
            reached = self.reached(runtime_config, args)
            request = HttpRequest(
                url=joined_url(reached.url, "info"), method="GET", headers=reached.headers, timeout=_PROBE_SECONDS
            )
            clients = HttpClients(trust_private=reached.trust_private)
            try:
                async with clients.send(request) as response:
                    text, status = redacted(await response.excerpt(200))[:200], response.status
            finally:
                await clients.aclose()
        except (DuologueError, HttpError, ValueError) as error:
            return RuntimeTestResult(ok=False, message=redacted(message_of(error)))
        told = f"GET /info: HTTP {status}: {text!r}"
        return RuntimeTestResult(ok=status == 200, message=told)
