"""Spans from other processes: a real one, and everything that is no export of spans."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import http.client
import json
import os
import socket
import subprocess
import sys
import threading
import zlib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from waiting import LONG, wait_until

import duologue
from duologue.errors import ConfigurationError
from duologue.testing import ScriptedUserAgent
from duologue.tracing.collector import SpanCollector
from duologue.tracing.otlp import PayloadError, read_json, read_protobuf

TRACE = bytes(range(1, 17))
TRACE_NUMBER = int.from_bytes(TRACE, "big")
PROTOBUF = "application/x-protobuf"
JSON = "application/json"


def request(span_id=b"12345678", trace_id=TRACE, **more):
    found = ExportTraceServiceRequest()
    span = found.resource_spans.add().scope_spans.add().spans.add()
    span.trace_id, span.span_id, span.name = trace_id, span_id, "lookup"
    span.start_time_unix_nano, span.end_time_unix_nano = 2_000_000_000, 3_500_000_000
    for key, value in more.items():
        span.attributes.add(key=key).value.string_value = value
    return found


def as_json(**more):
    span = {
        "traceId": TRACE.hex(),
        "spanId": b"12345678".hex(),
        "parentSpanId": "",
        "name": "lookup",
        "startTimeUnixNano": "2000000000",
        "endTimeUnixNano": 3500000000,
        "attributes": [
            {"key": "n", "value": {"intValue": "7"}},
            {"key": "list", "value": {"arrayValue": {"values": [{"boolValue": True}, {"doubleValue": 0.5}]}}},
            {"key": "map", "value": {"kvlistValue": {"values": [{"key": "a", "value": {"stringValue": "b"}}]}}},
            {"key": "nothing", "value": {}},
        ],
        "links": [{"traceId": TRACE.hex(), "spanId": b"12345678".hex()}],
        "status": {"code": 2, "message": "no table"},
        "somethingNew": 1,
        **more,
    }
    return {"resourceSpans": [{"resource": {}, "scopeSpans": [{"scope": {"name": "s"}, "spans": [span]}]}]}


@pytest.fixture
def collector():
    found = SpanCollector()
    found.begin(TRACE_NUMBER, "run")
    return found


@pytest.fixture
def receiver(collector):
    with duologue.OtlpReceiver(collector=collector, max_body=20_000) as running:
        yield running


def start(command, environment):
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)


def post(receiver, body, kind=PROTOBUF, path="/v1/traces", method="POST", **headers):
    connection = http.client.HTTPConnection("127.0.0.1", receiver.port, timeout=LONG)
    try:
        connection.request(method, path, body, {"Content-Type": kind, **headers}, encode_chunked=False)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


async def test_an_agent_in_another_process_puts_its_spans_into_the_run(traced):
    seen = []

    class Reading(duologue.AgentAdapter):
        role = duologue.AgentRole.JUDGE

        async def call(self, input):
            seen.append(duologue.judge_span_collector.spans(input.thread_id))
            return duologue.ScenarioResult(success=True, verdict=duologue.Verdict.PASS, reasoning="seen")

    with duologue.OtlpReceiver() as receiver:
        environment = {**os.environ, **receiver.environment}
        command = [sys.executable, str(Path(__file__).with_name("remote_agent.py"))]
        process = start(command, environment)
        try:
            port = int(await asyncio.to_thread(process.stdout.readline))
            async with duologue.HttpAgent(f"http://127.0.0.1:{port}") as agent:
                agents = [ScriptedUserAgent(["a table"]), agent, Reading()]
                result = await duologue.arun("n", "d", agents, verbose=False)
                traced.tracing.close()
                untraced = await duologue.arun("n", "d", [ScriptedUserAgent(["a table"]), agent], max_turns=1)
        finally:
            process.kill()
            process.communicate()
    assert result.messages[-1]["content"] == "traced"
    assert untraced.messages[-1]["content"] == "not traced"
    handle, lookup = sorted(seen[0], key=lambda span: span.start)
    call = traced.one(f"invoke_agent {agent.name}")
    assert handle.name == "handle"
    assert handle.parent_id == f"{call.context.span_id:016x}"
    assert lookup.parent_id == handle.span_id
    assert lookup.attributes == {"table": 12, "asked": "a table"}
    assert lookup.seconds > 0


def test_protobuf_and_json_come_to_the_same(receiver, collector):
    assert post(receiver, request().SerializeToString()) == (200, b"")
    assert post(receiver, json.dumps(as_json(spanId="ab" * 8)), f"{JSON}; charset=utf-8") == (200, b"{}")
    binary, text = collector.spans("run")
    assert (binary.span_id, binary.name, binary.start, binary.seconds) == (b"12345678".hex(), "lookup", 2.0, 1.5)
    assert (text.span_id, text.name, text.start, text.seconds) == ("ab" * 8, "lookup", 2.0, 1.5)
    assert text.error == "no table"
    assert text.parent_id is None
    assert text.attributes == {"n": 7, "list": [True, 0.5], "map": {"a": "b"}, "nothing": None}


@pytest.mark.parametrize(("encoding", "pack"), [("gzip", gzip.compress), ("deflate", zlib.compress)])
def test_packed_bodies_are_unpacked(receiver, collector, encoding, pack):
    body = pack(request().SerializeToString())
    assert post(receiver, body, **{"Content-Encoding": encoding})[0] == 200
    assert len(collector.spans("run")) == 1


def test_bodies_in_chunks_are_put_together(receiver, collector):
    body = request(text="x" * 300).SerializeToString()
    chunks = b"".join(b"%x;ext=1\r\n%b\r\n" % (len(part), part) for part in (body[:100], body[100:])) + b"0\r\n\r\n"
    assert post(receiver, chunks, **{"Transfer-Encoding": "chunked"})[0] == 200
    assert len(collector.spans("run")) == 1


def test_a_connection_is_kept_for_more(receiver, collector):
    connection = http.client.HTTPConnection("127.0.0.1", receiver.port, timeout=LONG)
    for number in range(3):
        connection.request(
            "POST", "/v1/traces", request(b"%08d" % number).SerializeToString(), {"Content-Type": PROTOBUF}
        )
        assert connection.getresponse().read() == b""
    connection.close()
    assert len(collector.spans("run")) == 3


def test_spans_of_no_run_are_refused_in_part(receiver, collector):
    body = request(trace_id=b"x" * 16)
    body.MergeFrom(request())
    status, answer = post(receiver, body.SerializeToString())
    assert status == 200
    assert ExportTraceServiceResponse.FromString(answer).partial_success.rejected_spans == 1
    assert len(collector.spans("run")) == 1
    status, answer = post(receiver, json.dumps(as_json(traceId="00" * 16)), JSON)
    assert json.loads(answer)["partialSuccess"]["rejectedSpans"] == "1"


BOMB = gzip.compress(b"0" * 30_000_000, mtime=0)


@pytest.mark.parametrize(
    ("status", "body", "more"),
    [
        (400, b"\xff\xff\xff", {}),
        (400, b"not json", {"kind": JSON}),
        (400, b"[]", {"kind": JSON}),
        (400, b'{"resourceSpans": 1}', {"kind": JSON}),
        (400, b'{"resourceSpans": [1]}', {"kind": JSON}),
        (400, b"[" * 19_000, {"kind": JSON}),
        (400, b"\xff\xfe", {"kind": JSON}),
        (400, json.dumps(as_json(traceId="xyz")).encode(), {"kind": JSON}),
        (400, json.dumps(as_json(traceId=5)).encode(), {"kind": JSON}),
        (400, json.dumps(as_json(traceId="ab")).encode(), {"kind": JSON}),
        (400, json.dumps(as_json(spanId="")).encode(), {"kind": JSON}),
        (400, json.dumps(as_json(name={"a": 1})).encode(), {"kind": JSON}),
        (400, json.dumps(as_json(name="\ud800")).encode(), {"kind": JSON}),
        (400, json.dumps(as_json(startTimeUnixNano=-1)).encode(), {"kind": JSON}),
        (400, request(b"short").SerializeToString(), {}),
        (400, b"", {"Content-Encoding": "gzip"}),
        (400, b"no gzip", {"Content-Encoding": "gzip"}),
        (400, gzip.compress(b"0" * 5000, mtime=0)[:-9], {"Content-Encoding": "gzip"}),
        (400, b"zz\r\n", {"Transfer-Encoding": "chunked"}),
        (400, b"2\r\nabcd\r\n0\r\n\r\n", {"Transfer-Encoding": "chunked"}),
        (404, b"", {"path": "/v1/logs"}),
        (411, b"", {"Content-Length": "-1"}),
        (413, b"", {"Content-Length": "20001"}),
        (413, b"", {"Content-Length": "9" * 5000}),
        (413, b"fffffff\r\n", {"Transfer-Encoding": "chunked"}),
        (413, BOMB[:], {"Content-Encoding": "gzip", "small": True}),
        (415, b"", {"kind": "text/plain"}),
        (415, b"x", {"Content-Encoding": "br"}),
        (501, b"", {"method": "GET"}),
    ],
)
def test_what_is_no_export_is_refused_and_the_receiver_goes_on(status, body, more, collector):
    limit = 100_000 if more.pop("small", False) else 20_000
    with duologue.OtlpReceiver(collector=collector, max_body=limit) as receiver:
        found, answer = post(receiver, body, **more)
        assert found == status
        assert answer
        assert len(answer) < 500 or status == 501
        assert collector.spans("run") == []
        assert post(receiver, request().SerializeToString())[0] == 200
    assert len(collector.spans("run")) == 1


def test_a_refused_request_ends_the_connection_and_the_next_is_not_read_out_of_its_body(receiver, collector):
    connection = http.client.HTTPConnection("127.0.0.1", receiver.port, timeout=LONG)
    inner = b"POST /v1/traces HTTP/1.1\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"
    connection.request("POST", "/v1/logs", inner, {"Content-Type": PROTOBUF})
    answer = connection.getresponse()
    assert answer.status == 404
    assert answer.will_close
    connection.close()


def test_it_listens_on_the_loopback_of_the_newer_protocol(collector):
    try:
        with duologue.OtlpReceiver(host="::1", collector=collector) as receiver:
            assert receiver.endpoint == f"http://[::1]:{receiver.port}"
            connection = http.client.HTTPConnection("::1", receiver.port, timeout=LONG)
            connection.request("POST", "/v1/traces", request().SerializeToString(), {"Content-Type": PROTOBUF})
            assert connection.getresponse().status == 200
            connection.close()
    except OSError as error:
        pytest.skip(f"this machine has no ::1: {error}")
    assert len(collector.spans("run")) == 1


def test_an_empty_export_is_fine(receiver):
    assert post(receiver, b"") == (200, b"")
    assert post(receiver, b"{}", JSON) == (200, b"{}")


def test_more_connections_than_there_are_places_are_turned_away(collector):
    with duologue.OtlpReceiver(collector=collector, max_connections=1) as receiver:
        first = http.client.HTTPConnection("127.0.0.1", receiver.port, timeout=LONG)
        first.request("POST", "/v1/traces", b"", {"Content-Type": PROTOBUF})
        assert first.getresponse().read() == b""
        with pytest.raises((http.client.RemoteDisconnected, ConnectionError)):
            post(receiver, b"")
        first.close()


def raw(receiver, *parts):
    """What comes back for these bytes, sent as they are."""
    with socket.create_connection(("127.0.0.1", receiver.port), timeout=LONG) as sock:
        for part in parts:
            sock.sendall(part)
        return b"".join(iter(lambda: sock.recv(65536), b""))


def head(*lines, method="POST /v1/traces HTTP/1.1"):
    return "\r\n".join([method, *lines, "Connection: close", "", ""]).encode()


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1", 200), ("127.0.0.1:80", 200), ("127.8.9.1:4318", 200), ("localhost:1", 200), ("LocalHost", 200),
        ("[::1]:4318", 200), ("evil.example", 421), ("evil.example:4318", 421), ("127.0.0.1.evil.example", 421),
        ("localhost.evil.example", 421), ("evil.example@127.0.0.1x", 421), ("10.0.0.1", 421), ("0.0.0.0", 421),
        ("", 421), ("[::1", 421), (None, 421), ("127.0.0.1\r\nHost: evil.example", 421),
    ],
)  # fmt: skip
def test_only_requests_that_name_this_machine_are_taken(receiver, collector, host, status):
    body = request().SerializeToString()
    lines = [f"Content-Type: {PROTOBUF}", f"Content-Length: {len(body)}"]
    answer = raw(receiver, head(*([f"Host: {host}"] if host is not None else []), *lines) + body)
    assert answer.split()[1] == str(status).encode()
    assert len(collector.spans("run")) == (status == 200)


@pytest.mark.parametrize(
    "lines",
    [
        ["Content-Length: 5", "Transfer-Encoding: chunked"],
        ["Transfer-Encoding: chunked", "Content-Length: 5"],
        ["Content-Length: 5", "Content-Length: 6"],
        ["Transfer-Encoding: chunked", "Transfer-Encoding: identity"],
    ],
)
def test_a_body_whose_end_is_not_clear_is_refused_at_once(receiver, lines):
    answer = raw(receiver, head("Host: localhost", f"Content-Type: {PROTOBUF}", *lines))
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b"not both" in answer


def test_a_body_that_breaks_off_is_no_export(receiver, collector):
    body = request().SerializeToString() + request(b"87654321").SerializeToString()
    with socket.create_connection(("127.0.0.1", receiver.port), timeout=LONG) as sock:
        lines = ["Host: localhost", f"Content-Type: {PROTOBUF}", f"Content-Length: {len(body)}"]
        sock.sendall(head(*lines) + body[: len(body) // 2])
        sock.shutdown(socket.SHUT_WR)
        assert b"broke off" in b"".join(iter(lambda: sock.recv(65536), b""))
    assert collector.spans("run") == []


@pytest.mark.parametrize(("as_what", "kind"), [("protobuf", PROTOBUF), ("json", JSON)])
def test_too_many_spans_in_one_request_are_refused(collector, as_what, kind):
    with duologue.OtlpReceiver(collector=collector, max_spans=2) as receiver:
        for count, status in ((3, 413), (2, 200)):
            many, text = ExportTraceServiceRequest(), as_json()
            for number in range(count):
                many.MergeFrom(request(b"%08d" % number))
            [scope] = text["resourceSpans"][0]["scopeSpans"]
            scope["spans"] = [{**scope["spans"][0], "spanId": f"{number:016x}"} for number in range(10, count + 10)]
            body = many.SerializeToString() if as_what == "protobuf" else json.dumps(text)
            found, answer = post(receiver, body, kind)
            assert found == status
            assert (b"at most 2 in one request" in answer) == (status == 413)
    assert len(collector.spans("run")) == 2


def test_a_token_is_asked_for_and_the_environment_has_it(collector):
    from opentelemetry.util.re import parse_env_headers

    token = "a-token+of/this=test~1"
    with duologue.OtlpReceiver(collector=collector, token=token) as receiver:
        body = request().SerializeToString()
        for wrong in ({}, {"Authorization": "Bearer x"}, {"Authorization": token}, {"Authorization": "Bearer "}):
            status, answer = post(receiver, body, **wrong)
            assert status == 401
            assert token.encode() not in answer
        assert collector.spans("run") == []
        headers = parse_env_headers(receiver.environment["OTEL_EXPORTER_OTLP_HEADERS"], liberal=True)
        assert post(receiver, body, **headers)[0] == 200
    assert len(collector.spans("run")) == 1
    for wrong in ("", "two words", "line\nbreak", "ü"):
        with pytest.raises(ConfigurationError, match="token"):
            duologue.OtlpReceiver(token=wrong)
    with pytest.raises(ConfigurationError, match="timeout"):
        duologue.OtlpReceiver(timeout=0)
    with duologue.OtlpReceiver() as receiver:
        assert "OTEL_EXPORTER_OTLP_HEADERS" not in receiver.environment


SLOW = {
    "head": (b"POST /v1/traces HTTP/1.1\r\n", b"X: y\r\n"),
    "body": (head("Host: localhost", f"Content-Type: {PROTOBUF}", "Content-Length: 15000"), b"\0"),
    "chunks": (head("Host: localhost", f"Content-Type: {PROTOBUF}", "Transfer-Encoding: chunked"), b"1\r\n\0\r\n"),
    "silent": (b"", b""),
}


def drip(receiver, first, more, stop):
    """Send a request that never comes to its end; returns once the receiver has closed the connection."""
    with (
        socket.create_connection(("127.0.0.1", receiver.port), timeout=LONG) as sock,
        contextlib.suppress(ConnectionError),
    ):
        sock.sendall(first)
        sock.settimeout(0.02)
        while not stop.is_set():
            try:
                if not sock.recv(65536):
                    return
            except TimeoutError:
                sock.sendall(more)


@pytest.mark.parametrize("way", SLOW)
def test_a_request_that_does_not_come_to_its_end_is_ended(collector, way):
    never = threading.Event()
    with duologue.OtlpReceiver(collector=collector, timeout=0.2, max_connections=1) as receiver:
        drip(receiver, *SLOW[way], never)


@pytest.mark.parametrize("way", SLOW)
def test_slow_clients_hold_up_nobody(collector, way):
    done = threading.Event()
    with duologue.OtlpReceiver(collector=collector, timeout=LONG, max_connections=2) as receiver:
        slow = [threading.Thread(target=drip, args=(receiver, *SLOW[way], done)) for _ in range(2)]
        for thread in slow:
            thread.start()

        def taken() -> bool:
            try:
                return post(receiver, request().SerializeToString())[0] == 200
            except (http.client.HTTPException, OSError):
                return False

        wait_until(taken)
        done.set()
        for thread in slow:
            thread.join()


def test_it_listens_only_on_loopback_and_only_inside_with():
    for host in ("0.0.0.0", "192.168.1.1", "localhost", "example.com", ""):
        with pytest.raises(ConfigurationError, match="loopback"):
            duologue.OtlpReceiver(host=host)
    receiver = duologue.OtlpReceiver()
    with pytest.raises(ConfigurationError, match="inside"):
        _ = receiver.endpoint
    with receiver:
        assert receiver.environment["OTEL_EXPORTER_OTLP_ENDPOINT"] == f"http://127.0.0.1:{receiver.port}"
    with pytest.raises(ConfigurationError, match="inside"):
        _ = receiver.port


def test_without_tracing_spans_are_refused_and_nothing_breaks():
    with duologue.OtlpReceiver() as receiver:
        status, answer = post(receiver, request().SerializeToString())
    assert status == 200
    assert ExportTraceServiceResponse.FromString(answer).partial_success.rejected_spans == 1


@settings(deadline=None)
@given(st.binary(max_size=300))
def test_any_bytes_are_spans_or_a_payload_error(data):
    for read in (read_protobuf, read_json):
        with contextlib.suppress(PayloadError):
            read(data)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=12), inner, max_size=3),
    max_leaves=8,
)
FIELDS = st.sampled_from(
    ["traceId", "spanId", "parentSpanId", "name", "attributes", "status", "endTimeUnixNano", "kind"]
)


@settings(max_examples=200, deadline=None)
@given(st.dictionaries(FIELDS, VALUES, max_size=4))
def test_any_json_is_spans_or_a_payload_error(more):
    try:
        found = read_json(json.dumps(as_json(**more)).encode())
    except PayloadError:
        return
    assert len(found) == 1
