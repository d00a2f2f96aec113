"""Checks that something else decides: an HTTP endpoint, an A2A agent, a program of the suite, or a tool.

The answer must be a JSON object with a ``score`` from 0 to 1, a ``passed``, or both. Anything else is an error.
Nothing is sent to addresses that the suite does not name, and no redirect is followed. Programs run without a shell.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, Field

from duologue.checks.base import CheckType, Finding, broken, finding, skipped
from duologue.checks.registry import check
from duologue.checks.subject import Subject, ids_of
from duologue.checks.text import Json
from duologue.checks.tool_calls import session
from duologue.config.access import access
from duologue.config.durations import parse_duration
from duologue.config.json_text import NoJsonError, json_object
from duologue.config.patterns import Pattern, found
from duologue.config.processes import ProgramError, environment_with, run_program
from duologue.config.redaction import redacted, remember_headers
from duologue.config.templates import expand, expand_url
from duologue.errors import ConfigurationError
from duologue.http import HttpClients, HttpError, HttpRequest, NoResponseError, written_url
from duologue.messages import JsonValue
from duologue.models.resources import Resources
from duologue.models.structured import UnreadableError, error_in, the_object_in

_FORM = (
    "Judge this conversation. Answer with one JSON object and nothing else: "
    '{"score": 0.0 to 1.0, "passed": true or false, "reasoning": "…"}'
)
_URL = r"^(https?://|\$\{)\S+$"
"""An absolute address, or one that begins with an environment variable."""
_LONGEST_ANSWER = 1_000_000
"""Bytes."""
_SHOWN = 300
"""Characters of an answer that an error message quotes."""


class ExternalError(Exception):
    """The outside gave no answer that can be used; says what it gave."""


def _seconds(value: object) -> object:
    return parse_duration(value) if isinstance(value, str) else value


Seconds = Annotated[float, BeforeValidator(_seconds), Field(gt=0)]


class _External(CheckType):
    criteria: str = ""
    """Criteria, passed on unchanged."""
    timeout: Seconds = 30.0
    """Time limit: seconds, or a duration such as ``30s`` or ``1m30s``."""

    async def look(self, subject: Subject, resources: Resources) -> Finding:
        cassette = subject.input.scope.cassette
        request = self.request(subject)
        try:
            async with asyncio.timeout(self.timeout):
                if cassette is None:
                    value = await self.ask(request, resources)
                else:
                    value = await cassette.play("http", request, lambda: self.ask(request, resources))
            return finding_of(value, ids_of([subject.answer]))
        except TimeoutError:
            return broken(f"{self.address} did not answer within {self.timeout:g} s")
        except ExternalError as error:
            return broken(redacted(f"{self.address}: {error}"))

    @property
    def address(self) -> str:
        """Who decides."""
        raise NotImplementedError

    def request(self, subject: Subject) -> dict[str, Any]:
        """What is sent, as plain data."""
        raise NotImplementedError

    async def ask(self, request: dict[str, Any], resources: Resources) -> dict[str, JsonValue]:
        """Send it, and give the answer. Raises ExternalError."""
        raise NotImplementedError


@check("rest_eval", aliases=[session("rest_eval_session")], family="External")
class RestEval(_External):
    """An HTTP endpoint decides. It gets JSON and answers ``{"score": 0 to 1, "passed": …, "reasoning": …}``."""

    url: str = Field(pattern=_URL)
    """URL of the endpoint."""
    method: Literal["POST", "PUT"] = "POST"
    """HTTP method."""
    headers: dict[str, str] = Field(default={})
    """Request headers. ``${NAME}`` and ``${NAME:-default}`` stand for environment variables."""
    include_messages: bool = False
    """Whether to send the messages as well as the answer."""
    include_tool_calls: bool = False
    """Whether to send the tool calls."""
    extra: dict[str, Json] = Field(default={})
    """Additional fields of the request body."""

    @property
    def address(self) -> str:
        return written_url(self.url)

    def request(self, subject: Subject) -> dict[str, Any]:
        body: dict[str, Any] = {**self.extra, "content": subject.answer.text, "turn": subject.input.turn}
        if self.criteria:
            body["criteria"] = self.criteria
        if self.include_messages:
            body["messages"] = subject.messages
        if self.include_tool_calls:
            body["tool_calls"] = [{**call.shown(), "result": call.result} for call in subject.shown_calls]
        return {"method": self.method, "url": self.url, "body": body}

    async def ask(self, request: dict[str, Any], resources: Resources) -> dict[str, JsonValue]:
        headers = {name: expand(value, resources.environment, secret=True) for name, value in self.headers.items()}
        return await send(self.method, expand_url(self.url, resources.environment), request["body"], headers)


@check("a2a_eval", aliases=[session("a2a_eval_session")], family="External")
class A2aEval(_External):
    """An agent that speaks the A2A protocol decides. It answers ``{"score": 0 to 1, "passed": …, "reasoning": …}``.

    Needs the extra ``a2a``.
    """

    renamed: ClassVar = {"url": "agent_url"}

    agent_url: str = Field(pattern=_URL)
    """URL to which messages are sent."""
    auth_token: str | None = None
    """Bearer token. ``${NAME}`` stands for an environment variable."""

    @property
    def address(self) -> str:
        return written_url(self.agent_url)

    def request(self, subject: Subject) -> dict[str, Any]:
        asked = {"criteria": self.criteria, "content": subject.answer.text, "messages": subject.messages}
        text = f"{_FORM}\n{json.dumps(asked, ensure_ascii=False)}"
        return {"agent_url": self.agent_url, "text": text}

    async def ask(self, request: dict[str, Any], resources: Resources) -> dict[str, JsonValue]:
        from duologue.agents.tools.a2a_client import A2aClient
        from duologue.agents.tools.call import ToolFault
        from duologue.agents.tools.web import Web

        token = self.auth_token and expand(self.auth_token, resources.environment, secret=True)
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        web = Web()
        client = A2aClient(
            "the judging agent",
            expand_url(self.agent_url, resources.environment),
            web=web,
            headers=lambda: (headers, [token] if token else []),
            seconds=self.timeout,
            card={},  # the address is that of the endpoint, so no card is fetched
        )
        try:
            parts = await client.send(request["text"])
        except ToolFault as fault:
            raise ExternalError(str(fault)) from fault
        finally:
            await web.aclose()
        try:
            return the_object_in("\n".join(part.text for part in parts if part.text), ("score", "passed"))
        except UnreadableError as error:
            raise ExternalError(str(error)) from error


def finding_of(value: Mapping[str, JsonValue], ids: list[str]) -> Finding:
    """The finding in an answer from outside. Raises ExternalError if there is none."""
    score, passed = value.get("score"), value.get("passed")
    if (error := error_in(value)) is not None:
        raise ExternalError(f"its answer has an error: {str(error)[:_SHOWN]}")
    if isinstance(score, bool) or not isinstance(score, (int, float, type(None))) or not 0 <= (score or 0) <= 1:
        raise ExternalError(f"its score is {score!r}; expected a number from 0 to 1")
    if not isinstance(passed, (bool, type(None))):
        raise ExternalError(f"its passed is {passed!r}; expected true or false")
    if score is None and passed is None:
        raise ExternalError("its answer has neither score nor passed")
    told = (
        value.get("reasoning") or value.get("detail") or value.get("explanation") or f"score {score}, passed {passed}"
    )
    return Finding(
        score=float(bool(passed)) if score is None else float(score),
        passed=passed,
        explanation=str(told),
        message_ids=ids,
        details={"answer": dict(value)},
    )


async def send(method: str, url: str, body: Mapping[str, Any], headers: Mapping[str, str]) -> dict[str, JsonValue]:
    """Send JSON and read a JSON object. Raises ExternalError. The caller limits the time."""
    remember_headers(headers)
    clients = HttpClients()
    request = HttpRequest(method=method, url=url, headers=headers, json=dict(body), max_bytes=_LONGEST_ANSWER)
    try:
        async with clients.send(request) as response:
            text = await response.text()
    except (NoResponseError, ConfigurationError) as error:
        raise ExternalError(f"cannot be reached: {error}") from error
    except HttpError as error:
        raise ExternalError(f"did not answer in full: {error}") from error
    finally:
        await clients.aclose()
    if not response.ok:
        raise ExternalError(f"answered {response.status}: {redacted(text)[:200]}")
    try:
        return json_object(text)
    except NoJsonError as error:
        raise ExternalError(f"its answer is no JSON object ({error}): {redacted(text)[:200]!r}") from error


@check("exec", aliases=["exec_eval"], family="External")
class Exec(CheckType):
    """A program decides. It reads JSON and writes ``{"score": 0 to 1, "passed": …, "detail": …}``.

    Its standard input is ``{type, params, content, context}``. No shell is involved. A program that fails or writes
    something else is an error.
    """

    command: Annotated[list[str], Field(min_length=1)]
    """Program and arguments, such as ``["python", "judge.py"]``."""
    params: dict[str, Json] = Field(default={})
    """Parameters, passed on unchanged."""
    env: dict[str, str] = Field(default={})
    """Additional environment variables."""
    timeout: Seconds = 30.0
    """Time limit: seconds, or a duration such as ``30s``. After it, the program and everything it started are
    killed."""

    renamed: ClassVar = {"timeout_seconds": "timeout"}

    async def look(self, subject: Subject, resources: Resources) -> Finding:
        context = {
            "messages": subject.messages,
            "turn": subject.input.turn,
            "tool_calls": [{**call.shown(), "result": call.result} for call in subject.shown_calls],
        }
        given = {"type": "exec", "params": self.params, "content": subject.answer.text, "context": context}
        try:
            value = await _answer_of(self.command, self.env, given, self.timeout)
            return finding_of(value, ids_of([subject.answer]))
        except TimeoutError:
            return broken(f"{self.command[0]} did not end within {self.timeout:g} s and was killed")
        except (ExternalError, ProgramError, OSError) as error:
            return broken(f"{self.command[0]}: {error}")


@check("tool_exec", family="External")
class ToolExec(CheckType):
    """A tool, called by the check itself, returns the expected result. Skipped where the check cannot call tools."""

    tool: str = Field(min_length=1)
    """Tool name."""
    args: dict[str, Json] = Field(default={})
    """Arguments of the call."""
    timeout: Seconds = 120.0
    """Time limit: seconds, or a duration such as ``30s``."""
    success_pattern: Pattern | None = None
    """Regular expression that the result must match."""
    failure_pattern: Pattern | None = None
    """Regular expression that the result must not match."""

    renamed: ClassVar = {"timeout_seconds": "timeout", "tool_name": "tool"}

    async def look(self, subject: Subject, resources: Resources) -> Finding:
        if resources.run_tool is None:
            return skipped("no tools can be called here; pass resources=Resources(run_tool=…)")
        try:
            async with asyncio.timeout(self.timeout):
                answer = await resources.run_tool(self.tool, dict(self.args))
        except TimeoutError:
            return broken(f"'{self.tool}' did not answer within {self.timeout:g} s")
        wrong = self.failure_pattern is not None and found(self.failure_pattern, answer) is not None
        right = self.success_pattern is None or found(self.success_pattern, answer) is not None
        return finding(right and not wrong, f"'{self.tool}' answered {answer[:_SHOWN]!r}", answer=answer)


async def _answer_of(
    command: list[str], env: Mapping[str, str], given: Mapping[str, Any], timeout: float
) -> dict[str, JsonValue]:
    out = await run_program(
        command,
        # As ASCII: an agent may say half a surrogate pair, which cannot be written otherwise.
        given=json.dumps(given, default=str).encode(),
        environment={**(environment_with() if access().is_limited else os.environ), **env},
        timeout=timeout,
    )
    try:
        return json_object(out)
    except NoJsonError as error:
        raise ExternalError(f"wrote no JSON object: {out.decode(errors='replace')[:_SHOWN]!r}") from error
