"""An agent behind a URL with a format of its own: the conversation is sent, and the words are found in the answer.

Understood are ``{"message": {"content": …}}``, ``{"content": …}``, ``{"response": …}``, ``{"messages": […]}``, a JSON
text, plain text and more; where the words are found nowhere, ``answer`` names their place.
"""

from __future__ import annotations

from typing import ClassVar, Literal, cast

from pydantic import BaseModel

from duologue.agents.http.agent import HttpAgent
from duologue.config.request_body import placeholders_in
from duologue.config.spec import JsonObject
from duologue.errors import ConfigurationError
from duologue.runtimes.base import AgentSnapshot, RuntimeRunArgs, RuntimeSession, TextRuntimeKind
from duologue.runtimes.over_http import HttpRuntimeBase, HttpRuntimeConfig, Reached
from duologue.specs.agents import AnswerPath

_BODY = {"messages": "{{messages}}"}


class HttpEndpointRuntimeConfig(HttpRuntimeConfig):
    """An agent behind a URL with a format of its own."""

    kind: Literal["http"] = "http"
    """Always ``http``."""
    method: Literal["POST"] = "POST"
    """Method of the request."""
    path: str = ""
    """Follows the URL."""
    body: JsonObject | None = None
    """Request body with ``{{message}}``, ``{{messages}}``, ``{{history}}`` and ``{{thread_id}}``. Default:
    ``{"messages": "{{messages}}"}``."""
    answer: AnswerPath | None = None
    """Where the agent's words are in its answer, such as ``data.reply``. Default: they are looked for."""
    thread_from: AnswerPath | None = None
    """Where the answer has an ID for the conversation, for ``{{thread_id}}``."""


class HttpRuntime(HttpRuntimeBase):
    """Sends the conversation, and finds the agent's words in whatever comes back."""

    KIND: ClassVar[str] = TextRuntimeKind.HTTP
    LABEL: ClassVar[str] = "HTTP endpoint"
    DESCRIPTION: ClassVar[str] = "An agent behind a URL with a format of its own"
    CONFIG: ClassVar[type[BaseModel] | None] = HttpEndpointRuntimeConfig

    def validate_config(self, runtime_config: BaseModel, agent: AgentSnapshot, session: RuntimeSession | None) -> None:
        """As for every runtime over HTTP; and the body has only placeholders that there are."""
        super().validate_config(runtime_config, agent, session)
        body = cast("HttpEndpointRuntimeConfig", runtime_config).body
        try:
            placeholders_in(_BODY if body is None else body)
        except ValueError as error:
            raise ConfigurationError(f"runtime.body: expected {error}") from error

    def http_agent(self, runtime_config: HttpRuntimeConfig, args: RuntimeRunArgs, reached: Reached) -> HttpAgent:
        """Asks with the body, and reads the answer as it comes."""
        config = cast("HttpEndpointRuntimeConfig", runtime_config)
        return HttpAgent(
            joined_url(reached.url, config.path),
            body=_BODY if config.body is None else config.body,
            headers=reached.headers,
            name=self.LABEL,
            timeout=reached.seconds,
            answer=config.answer,
            thread_from=config.thread_from,
            retries=reached.retries,
            trust_private=reached.trust_private,
            max_answer_bytes=reached.max_answer_bytes,
        )


def joined_url(base: str, path: str) -> str:
    """A URL with a path behind that of its own, and its query."""
    if not path:
        return base
    start, mark, query = base.partition("?")
    return f"{start.rstrip('/')}/{path.lstrip('/')}{mark}{query}"
