"""Agents of Google's Agent Development Kit."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import AsyncExitStack, aclosing
from importlib import import_module
from typing import Any, cast

from duologue.conversation.adapter import AgentInput
from duologue.conversation.bridge import leased
from duologue.errors import AgentError
from duologue.integrations.base import Driver, Integration, Said, spoken, url_in
from duologue.message_shapes import framework_of, uses_of
from duologue.messages import ContentPart, Message


class ADKDriver(Driver):
    """One session of an agent."""

    options: GoogleADK
    _runner: Any

    async def open(self, stack: AsyncExitStack) -> None:
        """Make a runner, unless one was given."""
        if hasattr(self.agent, "run_async") and hasattr(self.agent, "session_service"):
            self._runner = self.agent
            return
        if type(getattr(self.agent, "model", None)).__name__ == "LiteLlm":
            # ADK imports it at the first call, which takes seconds and would block the event loop.
            await asyncio.to_thread(import_module, "litellm")
        made = import_module("google.adk.runners").InMemoryRunner
        if any(kind.__name__ == "App" for kind in type(self.agent).__mro__):
            self._runner = made(app=self.agent)
        else:
            self._runner = made(self.agent, app_name=self.options.app_name)

        async def keep(inner: AsyncExitStack) -> None:
            inner.push_async_callback(self._runner.close)  # closes the tools of the agent, which runs may share

        await leased(stack, self.agent, keep)

    async def answer(self, input: AgentInput) -> AsyncGenerator[Said]:
        """Its events."""
        user, thread, runner = self.options.user_id, input.thread_id, self._runner
        about = {"app_name": runner.app_name, "user_id": user, "session_id": thread}
        if await runner.session_service.get_session(**about) is None:
            await runner.session_service.create_session(**about, state=self.options.state)
        arguments: dict[str, Any] = {"user_id": user, "session_id": thread, "new_message": _content(input)}
        if input.streamed if self.options.streams is None else self.options.streams:
            library = import_module("google.adk.agents.run_config")
            arguments["run_config"] = library.RunConfig(streaming_mode=library.StreamingMode.SSE)
        async with aclosing(runner.run_async(**arguments)) as events:
            async for event in events:
                if getattr(event, "error_code", None) and event.content is None:
                    raise AgentError(f"the model failed: {event.error_code}: {event.error_message}")
                if event.partial:
                    for part in event.content.parts if event.content else ():
                        if part.text and not part.thought:
                            yield part.text
                    continue
                yield event
                for use in uses_of(event):
                    yield use


class GoogleADK(Integration):
    """An agent, an ``App`` or a ``Runner`` of ADK. Each run has a session of its own, under the run's thread id."""

    framework = "Google ADK"
    package = "google.adk"
    driver = ADKDriver

    def __init__(
        self,
        agent: Any,
        *,
        app_name: str = "duologue",
        user_id: str = "user",
        state: dict[str, Any] | None = None,
        **options: Any,
    ) -> None:
        """Wrap the agent.

        Args:
            agent: the agent, app or runner, or a factory: see :class:`Integration`.
            app_name: of the sessions of an agent; a runner has its own.
            user_id: of the sessions.
            state: that each session begins with.
            options: those of :class:`Integration`.
        """
        super().__init__(agent, **options)
        self.app_name = app_name
        self.user_id = user_id
        self.state = dict(state or {})

    @classmethod
    def is_agent(cls, value: object) -> bool:
        """Whether this is an agent, an app or a runner."""
        return framework_of(value) == "google.adk"

    @classmethod
    def expected(cls) -> str:
        """What may be given, in words."""
        return "an agent, an App or a Runner of Google ADK"

    @property
    def name(self) -> str:
        """The agent's own name, unless another was given."""
        agent = getattr(self._agent, "agent", self._agent)
        own = getattr(agent, "name", None)
        return self._name or (own if isinstance(own, str) and own else type(self).__name__)


def _content(input: AgentInput) -> Any:
    """What the user says now."""
    types = import_module("google.genai.types")
    parts = [part for message in spoken(input.new_messages) for part in _parts(message, types)]
    return types.Content(role="user", parts=parts) if parts else None


def _parts(message: Message, types: Any) -> list[Any]:
    content = message.get("content")
    told: Sequence[ContentPart] = [{"type": "text", "text": content}] if isinstance(content, str) else content or []
    if message["role"] != "user":
        return []
    return [_part(cast("dict[str, Any]", part), types) for part in told]


def _part(part: dict[str, Any], types: Any) -> Any:
    if part["type"] == "text":
        return types.Part(text=part["text"])
    url = url_in(part)
    if url.startswith("data:"):
        mime, _, data = url.removeprefix("data:").partition(";base64,")
        import base64

        return types.Part.from_bytes(data=base64.b64decode(data), mime_type=mime)
    return types.Part.from_uri(file_uri=url, mime_type="image/*" if part["type"] == "image_url" else None)
