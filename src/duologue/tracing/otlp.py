"""Reading what OpenTelemetry exporters send over HTTP: protobuf or JSON, from anyone. Needs ``opentelemetry-proto``.

Source: OpenTelemetry protocol specification 1.x, ``ExportTraceServiceRequest``. Its JSON has hexadecimal ids, where
protobuf's own mapping of bytes is base 64.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

from google.protobuf.json_format import ParseDict, ParseError
from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from duologue.messages import JsonValue
from duologue.tracing.records import SpanRecord, cut, plain_attributes

if TYPE_CHECKING:
    from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
    from opentelemetry.proto.trace.v1.trace_pb2 import Span

_SECOND = 1_000_000_000
_TRACE_ID_BYTES, _SPAN_ID_BYTES = 16, 8
_ERROR = 2
"""``STATUS_CODE_ERROR``."""


class PayloadError(ValueError):
    """What was sent is no export of spans."""


def read_protobuf(data: bytes) -> list[tuple[int, SpanRecord]]:
    """The spans of a binary request, each with the number of its trace.

    Raises:
        PayloadError: it is none.
    """
    try:
        return list(_spans(ExportTraceServiceRequest.FromString(data)))
    except DecodeError as error:
        raise PayloadError(f"the body is no ExportTraceServiceRequest: {error}") from error


def read_json(data: bytes) -> list[tuple[int, SpanRecord]]:
    """The spans of a request in JSON, each with the number of its trace.

    Raises:
        PayloadError: it is none.
    """
    try:
        found = json.loads(data)
        for span in _json_spans(found):
            for name in ("traceId", "spanId", "parentSpanId"):
                span[name] = _base64(span.get(name, ""))
        return list(_spans(ParseDict(found, ExportTraceServiceRequest(), ignore_unknown_fields=True)))
    except (ParseError, ValueError, TypeError, AttributeError, KeyError, RecursionError) as error:
        raise PayloadError(f"the body is no ExportTraceServiceRequest in JSON: {error}") from error


def _json_spans(request: object) -> Iterator[dict[str, Any]]:
    for resource in _parts(request, "resourceSpans"):
        for scope in _parts(resource, "scopeSpans"):
            yield from _parts(scope, "spans")


def _parts(value: object, name: str) -> list[dict[str, Any]]:
    if not isinstance(value, dict):
        raise PayloadError(f"found a {type(value).__name__} around '{name}'; expected an object")
    parts: object = cast("dict[str, Any]", value).get(name) or []
    if not isinstance(parts, list) or not all(isinstance(part, dict) for part in cast("list[object]", parts)):
        raise PayloadError(f"'{name}' must be a list of objects")
    return cast("list[dict[str, Any]]", parts)


def _base64(text: object) -> str:
    if not isinstance(text, str):
        raise PayloadError(f"found the id {text!r:.60}; expected hexadecimal digits")
    try:
        return base64.b64encode(binascii.unhexlify(text)).decode()
    except binascii.Error as error:
        raise PayloadError(f"found the id {text!r:.60}; expected hexadecimal digits") from error


def _spans(request: ExportTraceServiceRequest) -> Iterator[tuple[int, SpanRecord]]:
    for resource in request.resource_spans:
        for scope in resource.scope_spans:
            for span in scope.spans:
                if len(span.trace_id) != _TRACE_ID_BYTES or len(span.span_id) != _SPAN_ID_BYTES:
                    raise PayloadError("a span has ids of the wrong length; expected 16 bytes of trace and 8 of span")
                yield int.from_bytes(span.trace_id, "big"), _record(span)


def _record(span: Span) -> SpanRecord:
    failed = span.status.code == _ERROR
    return SpanRecord(
        span_id=span.span_id.hex(),
        parent_id=span.parent_span_id.hex() or None,
        name=cut(span.name),
        start=span.start_time_unix_nano / _SECOND,
        seconds=max(0, span.end_time_unix_nano - span.start_time_unix_nano) / _SECOND,
        error=cut(span.status.message or "failed") if failed else None,
        attributes=plain_attributes(_mapping(span.attributes)),
    )


def _mapping(pairs: Sequence[KeyValue]) -> Mapping[str, JsonValue]:
    return {pair.key: _value(pair.value) for pair in pairs}


def _value(value: AnyValue) -> JsonValue:
    kind = value.WhichOneof("value")
    if kind is None:
        return None
    if kind == "array_value":
        return [_value(item) for item in value.array_value.values]
    if kind == "kvlist_value":
        return dict(_mapping(value.kvlist_value.values))
    if kind == "bytes_value":
        return f"[{len(value.bytes_value)} bytes]"
    return getattr(value, kind)
