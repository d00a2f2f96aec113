"""What all runtimes over HTTP share: where the agent is, how it is reached, and that ``HttpAgent`` asks it.

No redirect is followed, answers are bounded in time and size, and an address that is not on the public internet is
only called where the configuration says so.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import Annotated, ClassVar
from urllib.parse import SplitResult

from pydantic import BaseModel, Field

from duologue.agents.http.agent import HttpAgent
from duologue.config.spec import EMPTY, Amount
from duologue.config.templates import expand, expand_url
from duologue.context import SystemClock
from duologue.errors import AgentError, ConfigurationError
from duologue.frozen import frozen
from duologue.http import MAX_BODY_BYTES, ForbiddenAddressError, check_headers, is_public, parse_url
from duologue.models.prices import load_prices
from duologue.runtimes.base import AgentPlatform, AgentSnapshot, RuntimeRunArgs, RuntimeSession
from duologue.runtimes.config import RuntimeConfig
from duologue.runtimes.text import Agent, AgentReply, AgentTurn, Said, TextRuntimeBase
from duologue.settings import DEFAULT_AGENT_TIMEOUT

Url = Annotated[str, Field(min_length=1, max_length=2048)]


class HttpRuntimeConfig(RuntimeConfig):
    """Base of the configurations of runtimes over HTTP."""

    environment_fields: ClassVar[tuple[str, ...]] = ("url", "headers")

    url: Url | None = None
    """URL of the agent. Default: the agent's own. ``${NAME}`` stands for an environment variable."""
    headers: dict[str, str] = Field(default=EMPTY, repr=False)
    """Headers sent with every request, such as ``Authorization: Bearer ${TOKEN}``."""
    allow_private_addresses: bool = False
    """Whether the URL may lead to loopback and private addresses."""
    max_answer_bytes: Annotated[Amount, Field(ge=1)] = MAX_BODY_BYTES
    """Longest answer that is read."""
    retries: Annotated[int, Field(ge=0, le=20)] = 0
    """How often a request is repeated that the agent refuses with status 429, 503 or 529."""


@frozen
class Reached:
    """Where an agent is and how it is reached, with references to the environment expanded.

    Attributes:
        seconds: that one answer may take.
    """

    url: str
    headers: dict[str, str]
    seconds: float
    trust_private: bool
    max_answer_bytes: int
    retries: int


class UrlRuntimeBase(TextRuntimeBase[Agent]):
    """Base of runtimes whose agent has a URL: which URLs and headers can be used."""

    def supported_for_platform(self, platform: AgentPlatform | str | None) -> bool:
        """For every agent that has an address of its own, which those of Retell have not."""
        return platform != AgentPlatform.RETELL

    def validate_config(self, runtime_config: BaseModel, agent: AgentSnapshot, session: RuntimeSession | None) -> None:
        """The URL and the headers can be used, and the URL names no private address unless that is allowed."""
        config = self._own(runtime_config)
        url = self._url(config, agent)
        if "${" in url:
            return  # known when it is run
        host = _parsed(url).hostname or ""
        if not config.allow_private_addresses and is_private_host(host):
            raise ConfigurationError(
                f"runtime.url: '{host}' is not on the public internet; set runtime.allow_private_addresses to true if "
                "the agent is meant to be there"
            )
        _checked_headers({name: value for name, value in config.headers.items() if "${" not in value})

    def reached(self, runtime_config: BaseModel, args: RuntimeRunArgs) -> Reached:
        """Where the agent of a test case is and how it is reached.

        Raises:
            ConfigurationError: a variable is not set, or a value cannot be used.
        """
        config = self._own(runtime_config)
        return Reached(
            url=_expanded(self._url(config, args.agent_snapshot)),
            headers=_checked_headers({name: _secret(name, value) for name, value in config.headers.items()}),
            seconds=args.run_snapshot.run_config.agent_timeout or DEFAULT_AGENT_TIMEOUT,
            trust_private=config.allow_private_addresses,
            max_answer_bytes=config.max_answer_bytes,
            retries=config.retries,
        )

    def _own(self, runtime_config: BaseModel) -> HttpRuntimeConfig:
        expected = self.CONFIG
        if not isinstance(runtime_config, HttpRuntimeConfig) or not isinstance(runtime_config, expected or BaseModel):
            name = expected.__name__ if expected else HttpRuntimeConfig.__name__
            found = type(runtime_config).__name__
            raise ConfigurationError(f"runtime: the {self.KIND} runtime needs a {name}; found {found}")
        return runtime_config

    def _url(self, config: HttpRuntimeConfig, agent: AgentSnapshot) -> str:
        url = config.url or agent.endpoint_url
        if not url:
            raise ConfigurationError(
                f"runtime.url: the {self.KIND} runtime needs the URL of the agent; give it here, or give the agent an "
                "endpoint_url"
            )
        return url


class HttpRuntimeBase(UrlRuntimeBase[HttpAgent]):
    """Base of runtimes over HTTP: a heir makes the ``HttpAgent`` that speaks its format."""

    RESUMABLE: ClassVar[bool] = True

    @abstractmethod
    def http_agent(self, runtime_config: HttpRuntimeConfig, args: RuntimeRunArgs, reached: Reached) -> HttpAgent:
        """What asks the agent in one test case."""

    async def build_text_agent_config(
        self, runtime_config: BaseModel, args: RuntimeRunArgs, session: RuntimeSession | None
    ) -> HttpAgent:
        """The agent, with its own connections."""
        await load_prices(SystemClock())  # takes a while the first time, which is no time of the agent's
        return self.http_agent(self._own(runtime_config), args, self.reached(runtime_config, args))

    async def do_agent_turn(self, agent_config: HttpAgent, turn: AgentTurn) -> Said | AgentReply:
        """Send the conversation and read the agent's turn."""
        try:
            return await agent_config.call(turn.input)
        except AgentError as error:
            if isinstance(error.__cause__, ForbiddenAddressError):
                what = f"not called: {error.__cause__}; set allow_private_addresses to true if it is meant to be"
                raise turn.failure(what) from error
            raise

    async def close_text_agent(self, agent_config: HttpAgent) -> None:
        """Close the connections."""
        await agent_config.aclose()


def _expanded(url: str) -> str:
    try:
        return expand_url(url)
    except ConfigurationError as error:
        raise ConfigurationError(f"runtime.url: {error}") from error


def _secret(name: str, value: str) -> str:
    try:
        return expand(value, secret=True)
    except ConfigurationError as error:
        raise ConfigurationError(f"runtime.headers.{name}: {error}") from error


def _parsed(url: str) -> SplitResult:
    try:
        return parse_url(url)
    except ConfigurationError as error:
        raise ConfigurationError(f"runtime.url: {error}") from error


def _checked_headers(headers: dict[str, str]) -> dict[str, str]:
    try:
        return check_headers(headers)
    except ConfigurationError as error:
        raise ConfigurationError(f"runtime.headers: {error}") from error


def is_private_host(host: str) -> bool:
    """Whether a host is a private address at first sight; where a name leads is looked at for each request."""
    if host.casefold() == "localhost" or host.casefold().endswith(".localhost"):
        return True
    try:
        return not is_public(host)
    except ValueError:
        return False
