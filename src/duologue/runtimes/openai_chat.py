"""An agent, or a bare model, behind any URL that speaks OpenAI's chat completions."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal, cast

from pydantic import BaseModel, Field

from duologue.agents.http.agent import HttpAgent
from duologue.agents.http.presets import Outgoing
from duologue.config.spec import EMPTY, Count, JsonObject
from duologue.conversation.adapter import AgentInput
from duologue.frozen import changed
from duologue.messages import system_message
from duologue.runtimes.base import RuntimeRunArgs, TextRuntimeKind
from duologue.runtimes.over_http import HttpRuntimeBase, HttpRuntimeConfig, Reached


class OpenAIChatRuntimeConfig(HttpRuntimeConfig):
    """An agent behind a URL that speaks OpenAI's chat completions."""

    kind: Literal["openai_chat"] = "openai_chat"
    """Always ``openai_chat``. A URL that is only a host, or a host and ``/v1``, is completed."""
    model: str | None = None
    """Value of ``model`` in the request. Default: the agent's."""
    send_system_prompt: bool = False
    """Whether the agent's prompt is sent as the system message, for a URL with a bare model behind it."""
    temperature: Annotated[float, Field(ge=0)] | None = None
    """Sampling temperature."""
    max_tokens: Count | None = None
    """Longest answer, in tokens."""
    extra_body: JsonObject = EMPTY
    """Additional fields of the request."""


class OpenAIChatRuntime(HttpRuntimeBase):
    """Sends the whole conversation as chat completions."""

    KIND: ClassVar[str] = TextRuntimeKind.OPENAI_CHAT
    LABEL: ClassVar[str] = "OpenAI chat completions"
    DESCRIPTION: ClassVar[str] = "An agent or a model behind a URL that speaks OpenAI's chat completions"
    CONFIG: ClassVar[type[BaseModel] | None] = OpenAIChatRuntimeConfig

    def http_agent(self, runtime_config: HttpRuntimeConfig, args: RuntimeRunArgs, reached: Reached) -> HttpAgent:
        """Asks in the format of chat completions, and takes no other."""
        config = cast("OpenAIChatRuntimeConfig", runtime_config)
        agent = args.agent_snapshot
        sampling = {"temperature": config.temperature, "max_tokens": config.max_tokens}
        extra = {name: value for name, value in sampling.items() if value is not None} | config.extra_body
        prompt = agent.system_prompt if config.send_system_prompt else None
        return _PromptedAgent(reached, self.LABEL, config.model or agent.model, prompt, extra)


class _PromptedAgent(HttpAgent):
    """Chat completions, with a system message where there is a prompt."""

    def __init__(
        self, reached: Reached, name: str, model: str | None, prompt: str | None, extra: dict[str, Any]
    ) -> None:
        super().__init__(
            reached.url,
            preset="openai-chat",
            headers=reached.headers,
            model=model,
            name=name,
            timeout=reached.seconds,
            extra_body=extra,
            retries=reached.retries,
            trust_private=reached.trust_private,
            max_answer_bytes=reached.max_answer_bytes,
        )
        self._prompt = prompt

    def _outgoing(self, input: AgentInput, *, stream: bool, thread: str | None) -> Outgoing:
        out = super()._outgoing(input, stream=stream, thread=thread)
        return changed(out, messages=[system_message(self._prompt), *out.messages]) if self._prompt else out
