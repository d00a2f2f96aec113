"""An agent of one's own behind a URL that speaks the contract of custom endpoints; see ``contract``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Literal

from pydantic import BaseModel

from duologue.agents.http.agent import HttpAgent
from duologue.agents.http.completions import ContractError
from duologue.agents.http.presets import Outgoing
from duologue.agents.http.whole import is_joined
from duologue.messages import Message
from duologue.runtimes.base import RuntimeRunArgs, TextRuntimeKind
from duologue.runtimes.contract import contract_request, read_contract
from duologue.runtimes.over_http import HttpRuntimeBase, HttpRuntimeConfig, Reached


class CustomEndpointRuntimeConfig(HttpRuntimeConfig):
    """An agent of your own behind a URL."""

    kind: Literal["custom_endpoint"] = "custom_endpoint"
    """Always ``custom_endpoint``."""


class CustomEndpointRuntime(HttpRuntimeBase):
    """Sends the whole conversation to the agent's URL in the contract of custom endpoints."""

    KIND: ClassVar[str] = TextRuntimeKind.CUSTOM_ENDPOINT
    LABEL: ClassVar[str] = "Custom endpoint"
    DESCRIPTION: ClassVar[str] = "An agent of your own behind a URL, which runs its own tools"
    CONFIG: ClassVar[type[BaseModel] | None] = CustomEndpointRuntimeConfig

    def http_agent(self, runtime_config: HttpRuntimeConfig, args: RuntimeRunArgs, reached: Reached) -> HttpAgent:
        """Asks in the contract."""
        return _ContractAgent(reached, self.LABEL, args.test_case.id)


class _ContractAgent(HttpAgent):
    """An agent behind a URL that speaks the contract, and nothing else."""

    def __init__(self, reached: Reached, name: str, test_case_id: str) -> None:
        super().__init__(
            reached.url,
            preset="message",  # the URL is used as it is
            headers=reached.headers,
            name=name,
            timeout=reached.seconds,
            retries=reached.retries,
            trust_private=reached.trust_private,
            max_answer_bytes=reached.max_answer_bytes,
        )
        self._test_case_id = test_case_id

    def _body(self, out: Outgoing) -> dict[str, Any]:
        return contract_request(out.messages, self._test_case_id)

    def _read(self, text: str, media_type: str) -> tuple[object, list[Message], Sequence[object]]:
        if is_joined(text):
            raise ContractError("expected one JSON object; found a stream")
        return read_contract(text)
