"""``duologue probe``: unknown agents over real HTTP, up to a suite that passes."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from http_agents import AGENTS, Asked, HttpAgents, Refused, Reply, answer, http_agents, said_by_user, wanted

from duologue.cli.app import invoke
from duologue.cli.exit_codes import ExitCode

MOST = 16


@pytest.fixture(scope="module")
def running() -> Iterator[HttpAgents]:
    with http_agents() as server:
        yield server


@pytest.fixture
def server(running: HttpAgents, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> HttpAgents:
    running.asked.clear()
    running.heard.clear()
    running.more.clear()
    running.only_more = False
    monkeypatch.chdir(tmp_path)
    return running


def probed(url: str, *options: str, capsys: Any) -> dict[str, Any]:
    assert invoke(["probe", url, "--json", "--write", "suite.yaml", *options]) == 0
    return json.loads(capsys.readouterr().out)


def refused(url: str, *options: str, capsys: Any) -> str:
    assert invoke(["probe", url, *options]) == ExitCode.UNCERTAIN
    shown = capsys.readouterr()
    assert "Traceback" not in shown.err
    return shown.err


ANSWERING = [path for path in AGENTS if path not in {"/nothing", "/page", "/closed"}]


@pytest.mark.parametrize("path", ["", *ANSWERING])
def test_an_unknown_endpoint_becomes_a_suite_that_passes(server: HttpAgents, path: str, capsys: Any):
    found = probed(server.url + path, capsys=capsys)
    assert found["remembers"], found["memory"]
    assert not found["mixes_conversations"]
    assert len(server.asked) == found["requests"] <= MOST
    server.asked.clear()
    assert invoke(["validate", "suite.yaml"]) == 0
    assert invoke(["run", "suite.yaml", "--out", "results", "--quiet"]) == 0
    assert len(server.asked) == 2


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("", {"preset": "openai-chat"}),
        ("/v1/responses", {"preset": "openai-responses"}),
        ("/v1/messages", {"preset": "anthropic-messages"}),
        ("/chat", {"body": {"message": "{{message}}", "thread_id": "{{thread_id}}"}, "answer": "reply"}),
        (
            "/v1/chat-messages",
            {
                "body": {"query": "{{message}}", "conversation_id": "{{thread_id}}"},
                "answer": "answer",
                "thread_from": "conversation_id",
            },
        ),
        (
            "/nested",
            {
                "body": {
                    "thread_id": "{{thread_id}}",
                    "input": {"question": "{{message}}"},
                    "session": {"id": "{{thread_id}}"},
                },
                "answer": "payload.result.value",
            },
        ),
        ("/generate", {"body": {"prompt": "{{message}}", "session_id": "{{thread_id}}"}}),
    ],
)
def test_the_format_that_it_finds(server: HttpAgents, path: str, expected: dict[str, Any], capsys: Any):
    assert probed(server.url + path, capsys=capsys)["http"] == {"url": server.url + path, **expected}


def test_what_it_saw_is_told(server: HttpAgents, capsys: Any):
    assert invoke(["probe", server.url]) == 0
    told = capsys.readouterr().out
    for line in (
        "format      preset openai-chat",
        "memory      the whole conversation is sent with each request",
        "tool calls  find_booking (every call is shown)",
        "usage       220 tokens, gpt-5-mini, its price is known",
        "streaming   yes",
        "requests    3 sent",
        "turn 2, agent:  Your booking code is KX47.",
        "apiVersion: duologue/v1",
    ):
        assert line in told
    assert not Path("suite.yaml").exists()


# Agents that the probe was not written for


def typed(name: str) -> Callable[[HttpAgents], Callable[[Asked], Reply]]:
    """An agent that does not check what it gets, and breaks at what it does not expect."""

    def make(server: HttpAgents) -> Callable[[Asked], Reply]:
        def reply(asked: Asked) -> Reply:
            if name not in asked.body:
                return Reply("TypeError: Cannot read properties of undefined", 500, "text/plain")
            return Reply({"botResponse": server.said(asked.body.get("sessionId"), asked.body[name])})

        return reply

    return make


def polite(server: HttpAgents) -> Callable[[Asked], Reply]:
    def reply(asked: Asked) -> Reply:
        if "utterance" not in asked.body:
            return Reply({"error": "Missing required field: 'utterance'"}, 400)
        return Reply({"data": {"speech": server.said(asked.headers["x-thread-id"], asked.body["utterance"])}})

    return reply


def strict(server: HttpAgents) -> Callable[[Asked], Reply]:
    def reply(asked: Asked) -> Reply:
        missing = [name for name in ("chat_id", "content") if name not in asked.body]
        more = [name for name in asked.body if name not in {"chat_id", "content"}]
        detail = [{"type": "missing", "loc": ["body", name]} for name in missing]
        detail += [{"type": "extra_forbidden", "loc": ["body", name]} for name in more]
        if detail:
            raise Refused(422, {"detail": detail})
        return Reply([server.said(asked.body["chat_id"], asked.body["content"])], 201)

    return reply


def forgetful(server: HttpAgents) -> Callable[[Asked], Reply]:
    def reply(asked: Asked) -> Reply:
        (text,) = wanted(asked.body, "message")
        return Reply({"text": answer([*said_by_user(asked.body.get("history", [])), text])})

    return reply


def other_ids(server: HttpAgents) -> Callable[[Asked], Reply]:
    def reply(asked: Asked) -> Reply:
        (text,) = wanted(asked.body, "question")
        thread = asked.body.get("chatId") or server.new_id("chat")
        return Reply({"result": {"text": server.said(thread, text), "chatId": thread}, "status": "ok"})

    return reply


def described(server: HttpAgents) -> Callable[[Asked], Reply]:
    turn = {"type": "object", "required": ["phrase", "lang"], "properties": {
        "phrase": {"$ref": "#/components/schemas/Phrase"},
        "lang": {"type": "string", "enum": ["en", "de"]},
        "conversation": {"anyOf": [{"type": "string"}, {"type": "null"}]},
        "temperature": {"type": "number", "default": 1},
    }}  # fmt: skip
    phrase = {"type": "object", "required": ["text"], "properties": {"text": {"type": "string"}}}
    ref = {"$ref": "#/components/schemas/Turn"}
    post = {"requestBody": {"content": {"application/json": {"schema": ref}}}}
    document = {
        "paths": {"/other": {"get": {}}, "/unknown": {"post": post}},
        "components": {"schemas": {"Turn": turn, "Phrase": phrase}},
    }
    server.more["/openapi.json"] = lambda _: Reply(document)

    def reply(asked: Asked) -> Reply:
        if asked.body.get("lang") != "en" or set(asked.body) != {"phrase", "lang", "conversation"}:
            return Reply({"oops": True}, 500)
        return Reply({"said": server.said(asked.body["conversation"], asked.body["phrase"]["text"])})

    return reply


def short_ids(name: str) -> Callable[[HttpAgents], Callable[[Asked], Reply]]:
    """An agent that calls the id of the conversation by a short name, and takes only ids that it gave."""

    def make(server: HttpAgents) -> Callable[[Asked], Reply]:
        known: set[str] = set()

        def reply(asked: Asked) -> Reply:
            (text,) = wanted(asked.body, "input")
            thread = asked.body.get(name)
            if thread is None:
                known.add(thread := server.new_id("t"))
            if thread not in known:
                return Reply({"error": f"unknown {name} {thread}"}, 404)
            return Reply({name: thread, "data": {"answer": {"text": server.said(thread, text)}}})

        return reply

    return make


def joi(server: HttpAgents) -> Callable[[Asked], Reply]:
    def reply(asked: Asked) -> Reply:
        if "userInput" not in asked.body:
            return Reply({"statusCode": 400, "message": '"userInput" is required'}, 400)
        if "conversationId" not in asked.body:
            return Reply({"statusCode": 400, "message": '"conversationId" is required'}, 400)
        return Reply({"choices": [{"text": server.said(asked.body["conversationId"], asked.body["userInput"])}]})

    return reply


def langserve(server: HttpAgents) -> Callable[[Asked], Reply]:
    def reply(asked: Asked) -> Reply:
        (given,) = wanted(asked.body, "input")
        if not isinstance(given, dict):
            return Reply("Internal Server Error", 500, "text/plain")
        text = answer(said_by_user(given["messages"]))
        return Reply({"output": {"messages": [*given["messages"], {"type": "ai", "content": text}]}, "metadata": {}})

    server.more["/agent/invoke"] = reply
    return reply


def prosaic(server: HttpAgents) -> Callable[[Asked], Reply]:
    def reply(asked: Asked) -> Reply:
        if set(asked.body) != {"utterance", "dialog"}:
            told = "field 'utterance' (string) is required; field 'dialog' (string) is required; no other fields"
            return Reply(told, 422, "text/plain")
        return Reply({"say": server.said(asked.body["dialog"], asked.body["utterance"])})

    return reply


def nested_prose(server: HttpAgents) -> Callable[[Asked], Reply]:
    def reply(asked: Asked) -> Reply:
        if set(asked.body) != {"inquiry", "conv"}:
            return Reply("inquiry.text and conv.key are required strings", 400, "text/plain")
        said = server.said(asked.body["conv"]["key"], asked.body["inquiry"]["text"])
        return Reply({"result": {"blocks": [{"kind": "say", "value": said}]}})

    return reply


def streams_words_of_its_own(server: HttpAgents) -> Callable[[Asked], Reply]:
    def reply(asked: Asked) -> Reply:
        (text,) = wanted(asked.body, "prompt")
        said = server.said(asked.body.get("session_id"), text)
        events = [{"w": f"{word} "} for word in said.split()]
        return Reply([f"event: piece\ndata: {json.dumps(event)}\n\n" for event in events], 200, "text/event-stream")

    return reply


UNKNOWN: dict[str, Callable[[HttpAgents], Callable[[Asked], Reply]]] = {
    "breaks at what it does not expect": typed("question"),
    "breaks at another name": typed("text"),
    "says what it misses in a sentence": polite,
    "takes no field too many": strict,
    "is given the history": forgetful,
    "gives an id within its answer": other_ids,
    "gives an id called thread": short_ids("thread"),
    "gives an id called session": short_ids("session"),
    "gives an id called conversation": short_ids("conversation"),
    "names one field after the other": joi,
    "describes itself": described,
    "says in prose which fields it takes, and no others": prosaic,
    "says in prose which fields it takes within others": nested_prose,
    "streams words under a name of its own": streams_words_of_its_own,
}


@pytest.mark.parametrize("name", UNKNOWN)
def test_agents_of_other_forms_become_suites_that_pass(server: HttpAgents, name: str, capsys: Any):
    server.more["/unknown"] = UNKNOWN[name](server)
    found = probed(server.url + "/unknown", capsys=capsys)
    assert found["remembers"], found
    assert not found["mixes_conversations"]
    assert len(server.asked) <= MOST
    assert invoke(["run", "suite.yaml", "--out", "results", "--quiet"]) == 0


def test_an_invoke_endpoint_is_given_messages(server: HttpAgents, capsys: Any):
    langserve(server)
    found = probed(server.url + "/agent/invoke", capsys=capsys)
    assert found["remembers"]
    assert invoke(["run", "suite.yaml", "--out", "results", "--quiet"]) == 0


def test_the_host_alone_is_enough_where_the_server_describes_itself(server: HttpAgents, capsys: Any):
    server.more["/unknown"] = described(server)
    server.only_more = True
    found = probed(server.url, capsys=capsys)
    assert found["http"]["url"] == server.url + "/unknown"
    assert found["remembers"]
    assert invoke(["run", "suite.yaml", "--out", "results", "--quiet"]) == 0


def test_the_host_alone_is_enough_for_a_langgraph_server(server: HttpAgents, capsys: Any):
    for path in ("/v1/chat/completions", "/v1/responses", "/v1/messages"):
        server.more[path] = lambda _: Reply({"detail": "Not Found"}, 404)
    found = probed(server.url, capsys=capsys)
    assert found["http"] == {"url": server.url, "preset": "langgraph"}
    assert found["streams"]
    assert found["shows_whole_turns"]
    assert invoke(["run", "suite.yaml", "--out", "results", "--quiet"]) == 0


def test_an_agent_that_remembers_nothing_is_told_and_its_suite_asks_for_an_answer_only(server: HttpAgents, capsys: Any):
    server.more["/unknown"] = lambda asked: Reply({"reply": "What do you mean?"})
    found = probed(server.url + "/unknown", capsys=capsys)
    assert not found["remembers"]
    assert "does not contain 'KX47'" in found["memory"]
    assert found["requests"] <= MOST
    assert invoke(["run", "suite.yaml", "--out", "results", "--quiet"]) == 0


def test_an_agent_that_mixes_its_conversations_is_told(server: HttpAgents, capsys: Any):
    server.more["/unknown"] = lambda asked: Reply({"reply": server.said("all", *wanted(asked.body, "message"))})
    found = probed(server.url + "/unknown", capsys=capsys)
    assert found["remembers"]
    assert found["mixes_conversations"]


def test_an_id_that_only_a_header_has_is_told(server: HttpAgents, capsys: Any):
    def reply(asked: Asked) -> Reply:
        if set(asked.body) != {"message"}:
            extra = [{"type": "extra_forbidden", "loc": ["body", name]} for name in asked.body if name != "message"]
            raise Refused(422, {"detail": extra})
        return Reply({"reply": server.said(asked.headers["x-thread-id"], asked.body["message"])})

    server.more["/unknown"] = reply
    found = probed(server.url + "/unknown", capsys=capsys)
    assert found["remembers"]
    assert found["memory"] == "only the new message is sent, with an id of the conversation in the header X-Thread-Id"


# Errors


@pytest.mark.parametrize(
    ("reply", "complaint", "requests"),
    [
        (Reply({"error": "no key"}, 401), "HTTP 401, the agent wants to know who asks", 2),
        (Reply({"detail": "Not Found"}, 404), "HTTP 404, there is nothing at that URL", 2),
        (Reply("", 405), "HTTP 405, that URL takes no POST requests", 2),
        (Reply("", 307, headers={"Location": "/unknown/"}), "HTTP 307, a redirect to /unknown/", 2),
        (Reply({}, 429, headers={"Retry-After": "9"}), "(Retry-After: 9)", 2),
        (Reply("<!DOCTYPE html>", media="text/html"), "a web page (HTML) came back", 2),
        (Reply(None, 204), "HTTP 204, no content", 2),
        (Reply("boom", 500, "text/plain"), "none of them worked", MOST),
        (Reply({"error": "no such field"}, 400), "none of them worked", MOST),
        (Reply("no tenant was chosen", 422, "text/plain"), "it said: 'no tenant was chosen'", MOST),
    ],
)
def test_a_refusal_is_one_clear_text(server: HttpAgents, reply: Reply, complaint: str, requests: int, capsys: Any):
    server.more["/unknown"] = lambda _: reply
    assert complaint in refused(server.url + "/unknown", "--write", "suite.yaml", capsys=capsys)
    assert len(server.asked) <= requests
    assert not Path("suite.yaml").exists()


def test_a_server_that_is_not_there_is_said_at_once(unused_tcp_port: int, capsys: Any):
    text = refused(f"http://127.0.0.1:{unused_tcp_port}/chat", capsys=capsys)
    assert "is the agent running at that address?" in text


def test_a_server_without_tls_is_said(server: HttpAgents, capsys: Any):
    assert "http:// instead of https://" in refused(server.url.replace("http:", "https:") + "/chat", capsys=capsys)


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["localhost:1"], "must look like http"),
        (["localhost:1"], "did you mean 'http://localhost:1'?"),
        (["127.0.0.1:8000/chat"], "did you mean 'http://127.0.0.1:8000/chat'?"),
        (["agents.example.com/v1/chat"], "did you mean 'https://agents.example.com/v1/chat'?"),
        (["http://127.0.0.1:1", "-H", "nonsense"], "must look like 'Name: value'"),
        (["http://127.0.0.1:1", "--preset", "soap"], "preset must be one of"),
        (["http://127.0.0.1:1", "--say", "Hi."], "need --expect"),
        (["http://127.0.0.1:1", "-H", "Authorization: Bearer ${NOT_SET_ANYWHERE}"], "NOT_SET_ANYWHERE"),
    ],
)
def test_wrong_use_is_refused_before_anything_is_sent(arguments: list[str], complaint: str, capsys: Any):
    assert invoke(["probe", *arguments]) == ExitCode.USAGE
    assert complaint in capsys.readouterr().err


def test_an_existing_file_is_kept(server: HttpAgents, capsys: Any):
    Path("suite.yaml").write_text("mine")
    assert invoke(["probe", server.url, "--write", "suite.yaml"]) == ExitCode.USAGE
    assert Path("suite.yaml").read_text() == "mine"
    assert server.asked == []


@pytest.mark.parametrize("as_json", [True, False])
def test_secrets_are_written_as_variables(
    server: HttpAgents, as_json: bool, capsys: Any, monkeypatch: pytest.MonkeyPatch
):
    secret, key = "tok-very-secret-1234", "key-also-secret-5678"
    options = ["-H", f"Authorization: Bearer {secret}", "-H", "X-Team: blue", *(["--json"] if as_json else [])]
    server.more["/chat?api_key=" + key] = lambda asked: AGENTS["/chat"](server, asked.body)
    assert invoke(["probe", f"{server.url}/chat?api_key={key}", *options, "--write", "suite.yaml"]) == 0
    shown, text = capsys.readouterr(), Path("suite.yaml").read_text()
    for hidden in (secret, key):
        assert hidden not in shown.out + shown.err + text
    assert "Bearer ${AGENT_TOKEN}" in text
    assert "X-Team: blue" in text
    assert server.asked[-1].headers["authorization"] == f"Bearer {secret}"
    monkeypatch.setenv("AGENT_TOKEN", secret)
    monkeypatch.setenv("AGENT_API_KEY", key)
    assert invoke(["run", "suite.yaml", "--out", "results", "--quiet"]) == 0


def test_turns_of_ones_own(server: HttpAgents, capsys: Any):
    lines = ["--say", "The code is ZZ11.", "--then", "Which code?", "--expect", "zz11"]
    found = probed(server.url + "/chat", *lines, capsys=capsys)
    assert found["remembers"]
    assert [turn["said"] for turn in found["turns"]] == ["The code is ZZ11.", "Which code?"]


def _schema_that_leads_back(fields: int) -> dict[str, Any]:
    reference = {"$ref": "#/components/schemas/Node"}
    node = {
        "type": "object",
        "properties": {"message": {"type": "string"}} | {f"n{i}": reference for i in range(fields)},
    }
    content = {"application/json": {"schema": reference}}
    return {
        "paths": {"/talk": {"post": {"requestBody": {"content": content}}}},
        "components": {"schemas": {"Node": node}},
    }


def test_a_description_that_leads_back_to_itself_does_not_keep_the_probe(
    server: HttpAgents, capsys: pytest.CaptureFixture[str]
) -> None:
    server.more["/openapi.json"] = lambda _: Reply(_schema_that_leads_back(60))
    server.more["/talk"] = lambda _: Reply({"reply": "It is KX47."})
    assert "body" in probed(server.url + "/talk", capsys=capsys)["http"]


@pytest.mark.parametrize("sent", ["[" * 100_000, '{"a":' * 5000, "{" + "9" * 5000, '{"a": ' + "9" * 5000 + "}"])
def test_json_that_cannot_be_read_is_a_refusal(
    server: HttpAgents, sent: str, capsys: pytest.CaptureFixture[str]
) -> None:
    server.more["/talk"] = lambda _: Reply(sent, media="application/json")
    assert "JSON" in refused(server.url + "/talk", capsys=capsys)
