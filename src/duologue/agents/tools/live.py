"""Tools that are addresses: the arguments become an HTTP request, and the response becomes the result."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

from pydantic import ValidationError

from duologue.agents.tools.call import CallContext, Result, Run, ToolFault, seconds_of
from duologue.agents.tools.web import Reply, Request, Web, headers_of
from duologue.config.json_path import compiled_path
from duologue.config.json_text import NoJsonError, json_value
from duologue.config.redaction import query_values, without_fields
from duologue.config.spec import EMPTY, Items, JsonObject, Spec
from duologue.config.templates import Template, as_text, expand_url
from duologue.errors import ConfigurationError
from duologue.messages import JsonValue, media_part
from duologue.specs.prompts import HttpBinding, Tool

_WITH_BODY = {"POST", "PUT", "PATCH"}
_SHOWN = 200


class _RequestMapping(Spec):
    """How arguments become a request."""

    query_params: Items[str] = ()
    """Arguments that go into the query."""
    header_params: dict[str, str] = EMPTY
    """Headers, each a template of arguments."""
    exclude: Items[str] = ()
    """Arguments that are not sent."""
    body_mapping: str | None = None
    """A JMESPath expression that makes the body of the arguments that are left."""
    static_query: dict[str, str] = EMPTY
    """Sent in every query."""
    static_headers: dict[str, str] = EMPTY
    """Sent with every request."""
    static_body: JsonObject = EMPTY
    """Sent in every body."""


class _ResponseMapping(Spec):
    """How a response becomes a result."""

    body_mapping: str | None = None
    """A JMESPath expression that makes the result of the body."""


class _Multimodal(Spec):
    """Responses that are pictures, sounds or films."""

    enabled: bool = False
    """Whether they become parts of the tool's message."""
    accept_types: Items[str] = ()
    """Media types that do; empty for all."""


def live(tool: Tool, web: Web) -> Run:
    """What runs a tool that is an address.

    Raises:
        ConfigurationError: its ``http`` cannot be used; says which field.
    """
    if tool.http is None:
        raise ConfigurationError(f"tool '{tool.name}' has the mode live, but not the field 'http'")
    address = _Address(tool.name, tool.http, seconds_of(tool.http.timeout_ms, tool.timeout_ms))

    async def run(arguments: dict[str, JsonValue], context: CallContext) -> Result:
        request = address.request(arguments)
        return address.result(await web.send(request), request)

    return run


class _Address:
    """An endpoint: how it is asked, and how its answers are read."""

    def __init__(self, tool: str, binding: HttpBinding, seconds: float) -> None:
        where = f"tool '{tool}': http"
        self._tool = tool
        self._binding = binding
        self._seconds = seconds
        self._method = binding.method.upper()
        self._url = Template(binding.url, where=f"{where}.url")
        self._mapping = _read(_RequestMapping, binding.request, f"{where}.request")
        self._media = _read(_Multimodal, binding.multimodal, f"{where}.multimodal")
        response = _read(_ResponseMapping, binding.response, f"{where}.response")
        self._headers = {
            name: Template(text, where=f"{where}.request.header_params.{name}")
            for name, text in self._mapping.header_params.items()
        }
        self._body = _expression(self._mapping.body_mapping, f"{where}.request.body_mapping")
        self._answer = _expression(response.body_mapping, f"{where}.response.body_mapping")
        self._elsewhere = {*self._mapping.exclude, *self._url.names, *self._mapping.query_params}
        self._elsewhere.update(*(template.names for template in self._headers.values()))

    def request(self, arguments: dict[str, JsonValue]) -> Request:
        """The request for these arguments, with the environment's values of now."""
        binding, mapping = self._binding, self._mapping
        static = {**mapping.static_headers, **binding.headers}
        headers, secrets = headers_of(static, binding.headers_from_env)
        asked = {name: _one_line(template.render(arguments)) for name, template in self._headers.items()}
        left = {name: value for name, value in arguments.items() if name not in self._elsewhere}
        query = {name: arguments[name] for name in mapping.query_params if name in arguments}
        body: JsonValue = None
        if self._method in _WITH_BODY:
            body = {**left, **mapping.static_body}
            body = body if self._body is None else self._body.search(body)
        elif not mapping.query_params:
            query = {**left, **query}
        url = self._url_with(arguments, {**query, **mapping.static_query})
        secrets += [value for _, value in query_values(urlsplit(url).query) if "${" in binding.url]
        return Request(
            who=self._tool,
            method=self._method,
            url=url,
            headers={**asked, **headers},
            json=body,
            secrets=tuple(secrets),
            redact=binding.redact,
            seconds=self._seconds,
        )

    def _url_with(self, arguments: dict[str, JsonValue], query: Mapping[str, JsonValue]) -> str:
        # An argument must not lead to another place than the template has: it is quoted in full.
        url = expand_url(self._url.render(arguments, lambda value: quote(as_text(value), safe="")))
        if not query:
            return url
        parts = urlsplit(url)
        pairs = [*parse_qsl(parts.query, keep_blank_values=True), *((name, as_text(it)) for name, it in query.items())]
        return parts._replace(query=urlencode(pairs)).geturl()

    def result(self, reply: Reply, request: Request) -> Result:
        """What a response means.

        Raises:
            ToolFault: it is neither text nor JSON, or claims to be JSON and is none.
        """
        kind = reply.kind.partition("/")[0]
        if self._media.enabled and kind in {"image", "audio", "video"}:
            if self._media.accept_types and reply.kind not in self._media.accept_types:
                raise request.fault(f"answered with {reply.kind}; expected {', '.join(self._media.accept_types)}")
            return Result(
                value=None, parts=(media_part(reply.kind, data=reply.body, facts={"mime_type": reply.kind}),), text=""
            )
        value = without_fields(_value(reply, request), self._binding.redact)
        if self._answer is None:
            return Result(value=value)
        try:
            return Result(value=self._answer.search(value))
        except ValueError as error:
            told = " ".join(str(error).split())
            raise request.fault(f"the answer does not fit response.body_mapping: {told}") from error


def _value(reply: Reply, request: Request) -> JsonValue:
    try:
        text = reply.body.decode()
    except UnicodeDecodeError as error:
        raise request.fault(f"answered with {len(reply.body)} bytes that are neither JSON nor text") from error
    if not text.strip():
        return {"result": ""}
    try:
        return json_value(text, constants=True)
    except NoJsonError as error:
        if "json" in reply.kind:
            raise request.fault(f"answered with something that is no JSON: {text[:_SHOWN]!r}") from error
    return {"result": text}


def _read(kind: type[Any], written: Mapping[str, Any], where: str) -> Any:
    try:
        return kind.model_validate(dict(written))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        field = ".".join(map(str, first["loc"]))
        raise ConfigurationError(
            f"{where}.{field}: {first['msg']}; the fields are {', '.join(kind.model_fields)}"
        ) from error


def _expression(text: str | None, where: str) -> Any:
    if text is None:
        return None
    try:
        return compiled_path(text, "'body_mapping' of a tool")
    except ConfigurationError:
        raise
    except ValueError as error:
        raise ConfigurationError(f"{where} must be {error}") from error


def _one_line(text: str) -> str:
    """A text as the value of a header: what a model writes must not begin another header."""
    if not (text.isascii() and text.isprintable()):
        raise ToolFault(f"an argument that is sent as a header must be printable ASCII; found {text[:_SHOWN]!r}")
    return text
