import asyncio
import json
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from waiting import LONG

from duologue import checks
from duologue.errors import CassetteMissError
from duologue.models.cassette import Cassette, CassetteMode
from duologue.models.scope import RunScope
from duologue.vocabulary import CheckStatus


class Endpoint:
    """A real HTTP server that answers what it was told to."""

    def __init__(self) -> None:
        self.answer: Any = {"score": 1}
        self.status = 200
        self.silent = False
        self.requests: list[tuple[str, dict[str, str], Any]] = []
        self.url = ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:] if line)}
        body = await reader.readexactly(int(headers.get("content-length", 0)))
        self.requests.append((head[0], headers, json.loads(body)))
        if self.silent:
            await reader.read()
        text = self.answer if isinstance(self.answer, str) else json.dumps(self.answer)
        writer.write(
            f"HTTP/1.1 {self.status} X\r\nContent-Length: {len(text)}\r\nConnection: close\r\n\r\n{text}".encode()
        )
        writer.close()


@pytest.fixture
async def endpoint() -> AsyncIterator[Endpoint]:
    endpoint = Endpoint()
    server = await asyncio.start_server(endpoint.serve, "127.0.0.1", 0)
    endpoint.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/judge"
    async with server:
        yield endpoint


LINES = ["u: hi", ("search", {"q": "x"}, "found"), "a: hello"]


async def test_an_endpoint_is_given_what_was_asked_for(build: Any, endpoint: Endpoint) -> None:
    params = {
        "url": endpoint.url,
        "headers": {"Authorization": "Bearer ${TOKEN}"},
        "criteria": "polite",
        "include_messages": True,
        "include_tool_calls": True,
        "extra": {"lang": "en"},
        "timeout": "30s",
    }
    endpoint.answer = {"score": 0.7, "reasoning": "quite polite"}
    check = checks.create("rest_eval", params, min_score=0.7, resources=checks.Resources(environment={"TOKEN": "s3"}))
    outcome = await check.evaluate(build(*LINES))
    assert (outcome.status, outcome.score, outcome.explanation) == (CheckStatus.PASSED, 0.7, "quite polite")
    line, headers, body = endpoint.requests[0]
    assert (line, headers["authorization"]) == ("POST /judge HTTP/1.1", "Bearer s3")
    assert (body["content"], body["criteria"], body["lang"], len(body["messages"])) == ("hello", "polite", "en", 4)
    assert body["tool_calls"][0]["result"] == "found"


@pytest.mark.parametrize(
    ("answer", "status", "said"),
    [
        ({"score": 7}, 200, "its score is 7"),
        ({"score": True}, 200, "its score is True"),
        ({"passed": "yes"}, 200, "its passed is 'yes'"),
        ({}, 200, "neither score nor passed"),
        ({"passed": True, "error": "no credit"}, 200, "its answer has an error: no credit"),
        ({"score": 1, "error": {"code": 500}}, 200, "its answer has an error: {'code': 500}"),
        ([1], 200, "no JSON object"),
        ("great!", 200, "no JSON"),
        ({"score": 1}, 500, "answered 500"),
        ({"score": 1}, 302, "answered 302"),
    ],
)
async def test_an_answer_that_cannot_be_used_is_an_error(
    build: Any, endpoint: Endpoint, answer: Any, status: int, said: str
) -> None:
    endpoint.answer, endpoint.status = answer, status
    outcome = await checks.create("rest_eval", {"url": endpoint.url}).evaluate(build(*LINES))
    assert outcome.status is CheckStatus.ERROR
    assert said in outcome.explanation


async def test_addresses_and_headers_take_defaults_and_time_limits_are_durations(
    build: Any, endpoint: Endpoint
) -> None:
    params = {"url": "${BASE}/${PATH_:-score}", "headers": {"X-Team": "${TEAM:-red}"}, "timeout": "1m30s"}
    check = checks.create("rest_eval", params, resources=checks.Resources(environment={"BASE": endpoint.url}))
    outcome = await check.evaluate(build(*LINES))
    assert outcome.status is not CheckStatus.ERROR
    line, headers, _ = endpoint.requests[0]
    assert (line, headers["x-team"]) == ("POST /judge/score HTTP/1.1", "red")


async def test_silence_ends_after_the_timeout(build: Any, endpoint: Endpoint) -> None:
    endpoint.silent = True
    outcome = await checks.create("rest_eval", {"url": endpoint.url, "timeout": "50ms"}).evaluate(build(*LINES))
    assert (outcome.status, "did not answer within 0.05 s" in outcome.explanation) == (CheckStatus.ERROR, True)


async def test_nobody_there_and_no_variable_are_errors(build: Any) -> None:
    nobody = await checks.create("rest_eval", {"url": "http://127.0.0.1:9/x"}).evaluate(build(*LINES))
    assert (nobody.status, "cannot be reached" in nobody.explanation) == (CheckStatus.ERROR, True)
    params = {"url": "http://127.0.0.1:9/x", "headers": {"X": "${NOPE}"}}
    check = checks.create("rest_eval", params, resources=checks.Resources(environment={}))
    unset = await check.evaluate(build(*LINES))
    assert (unset.status, "NOPE is not set" in unset.explanation) == (CheckStatus.ERROR, True)


async def test_the_answer_is_recorded_and_replayed(build: Any, endpoint: Endpoint, tmp_path: Path) -> None:
    tape = tmp_path / "tape.jsonl"
    check = checks.create("rest_eval", {"url": endpoint.url})
    given = build(*LINES)
    for mode in (CassetteMode.RECORD, CassetteMode.REPLAY):
        scope = RunScope(cassette=Cassette(tape, mode))
        again = type(given)(state=given.state, records=given.records, turn=0, scope=scope)
        assert (await check.evaluate(again)).status is CheckStatus.PASSED
    assert len(endpoint.requests) == 1
    other = checks.create("rest_eval", {"url": endpoint.url, "criteria": "new"})
    with pytest.raises(CassetteMissError):
        await other.evaluate(type(given)(state=given.state, records=given.records, turn=0, scope=scope))


async def test_an_a2a_agent_decides(build: Any, endpoint: Endpoint) -> None:
    text = 'My judgement: {"score": 0.4, "passed": false, "reasoning": "rude"}'
    endpoint.answer = {
        "jsonrpc": "2.0",
        "id": "check",
        "result": {
            "kind": "task",
            "id": "t",
            "contextId": "c",
            "status": {"state": "completed"},
            "artifacts": [{"artifactId": "a", "parts": [{"kind": "text", "text": text}]}],
        },
    }
    check = checks.create("a2a_eval", {"agent_url": endpoint.url, "criteria": "polite", "auth_token": "t"})
    outcome = await check.evaluate(build(*LINES))
    assert (outcome.status, outcome.score, outcome.explanation) == (CheckStatus.FAILED, 0.4, "rude")
    _, headers, body = endpoint.requests[0]
    assert (body["method"], headers["authorization"]) == ("message/send", "Bearer t")
    said = {"role": "agent", "messageId": "m", "parts": [{"kind": "text", "text": "no idea"}]}
    for broken in ({"error": {"code": -1, "message": "busy"}}, {"result": said}):
        endpoint.answer = {"jsonrpc": "2.0", "id": "check", **broken}
        assert (await check.evaluate(build(*LINES))).status is CheckStatus.ERROR


async def test_half_a_surrogate_pair_reaches_an_a2a_agent(build: Any, endpoint: Endpoint) -> None:
    said = {"role": "agent", "messageId": "m", "kind": "message", "parts": [{"kind": "text", "text": '{"score": 1}'}]}
    endpoint.answer = {"jsonrpc": "2.0", "id": "check", "result": said}
    check = checks.create("a2a_eval", {"agent_url": endpoint.url})
    assert (await check.evaluate(build("u: hi", "a: bad \ud83d text"))).status is CheckStatus.PASSED


@pytest.mark.parametrize(
    ("code", "status", "said"),
    [
        (
            "import json, sys; d = json.load(sys.stdin); print(json.dumps({'passed': d['content'] == 'hello'}))",
            "passed",
            "",
        ),
        ("import os, json; print(json.dumps({'score': float(os.environ['SCORE'])}))", "failed", "score 0.5"),
        ("print('fine')", "error", "wrote no JSON object"),
        ("import sys; sys.exit('out of paper')", "error", "out of paper"),
        ("import time; time.sleep(60)", "error", "was killed"),
    ],
)
async def test_a_program_decides(build: Any, code: str, status: str, said: str) -> None:
    seconds = 0.5 if "sleep" in code else LONG
    params = {"command": [sys.executable, "-c", code], "env": {"SCORE": "0.5"}, "timeout": seconds}
    outcome = await checks.create("exec", params).evaluate(build(*LINES))
    assert (outcome.status, said in outcome.explanation) == (status, True), outcome


async def test_a_program_that_is_not_there_is_an_error(build: Any) -> None:
    outcome = await checks.create("exec", {"command": ["/no/such/program"]}).evaluate(build(*LINES))
    assert outcome.status is CheckStatus.ERROR


@pytest.mark.parametrize(
    "result", [None, "x", {"artifacts": None}, {"status": "done"}, {"parts": ["x", None]}, {"artifacts": [7]}]
)
async def test_an_a2a_answer_of_any_other_form_is_an_error(build: Any, endpoint: Endpoint, result: Any) -> None:
    endpoint.answer = {"jsonrpc": "2.0", "id": "check", "result": result}
    check = checks.create("a2a_eval", {"agent_url": endpoint.url, "criteria": "polite"})
    assert (await check.evaluate(build(*LINES))).status is CheckStatus.ERROR


async def test_half_a_surrogate_pair_reaches_an_endpoint_and_a_program(build: Any, endpoint: Endpoint) -> None:
    given = build("u: hi", "a: bad \ud83d text")
    check = checks.create("rest_eval", {"url": endpoint.url, "include_messages": True})
    assert (await check.evaluate(given)).status is CheckStatus.PASSED
    code = "import json, sys; json.load(sys.stdin); print('{\"score\": 1}')"
    program = checks.create("exec", {"command": [sys.executable, "-c", code]})
    assert (await program.evaluate(given)).status is CheckStatus.PASSED
