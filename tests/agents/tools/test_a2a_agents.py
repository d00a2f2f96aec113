import asyncio
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from duologue.agents.tools.toolbox import Toolbox
from duologue.errors import ConfigurationError, MissingExtraError
from duologue.models.cassette import Cassette
from duologue.specs.scenario import ToolPolicy
from duologue.specs.suite import A2aAgent, Suite

SKILLS = [
    {"id": "search_papers", "name": "Search", "description": "Finds papers."},
    {"id": "summarise", "name": "Summarise"},
]
CARD = {"name": "Research Agent", "description": "Knows papers.", "skills": SKILLS}
MAP = {"mimeType": "image/png", "bytes": "iVBORw=="}
RULES = [
    {"skill": "search_papers", "match": {"contains": "Quantum"}, "response": {"parts": [{"text": "1"}, {"text": "2"}]}},
    {"skill": "search_papers", "match": {"regex": r"^\d{4}$"}, "parts": [{"data": {"year": 1999}}]},
    {"skill": "search_papers", "match": {"contains": "broken"}, "error": "the library is closed"},
    {
        "match": {"contains": "map"},
        "parts": [{"text": "see"}, {"file": {"mimeType": "image/png", "bytes": "iVBORw=="}}],
    },
    {"skill": "summarise", "parts": [{"text": "short"}]},
]


def made_up(**fields: Any) -> Suite:
    return Suite(name="s", a2a_agents=[A2aAgent(name="research", card=CARD, responses=RULES, **fields)])


def real(url: str, **fields: Any) -> Suite:
    return Suite(name="s", a2a_agents=[A2aAgent(name="research", url=url, **fields)])


@pytest.mark.parametrize(
    ("query", "value"),
    [("tell me of QUANTUM things", "1\n2"), ("1999", {"year": 1999}), ("a map of it", "see")],
)
async def test_first_rule_that_fits_answers(desk_of: Any, query: str, value: Any) -> None:
    assert (await desk_of(suite=made_up())("a2a_research_search_papers", {"query": query})).value == value


async def test_rules_are_of_one_skill_or_of_all(desk_of: Any) -> None:
    desk = desk_of(suite=made_up())
    assert (await desk("a2a_research_summarise", {"query": "quantum"})).content == "short"
    assert [part["type"] for part in (await desk("a2a_research_summarise", {"query": "a map"})).content] == [
        "text",
        "image_url",
    ]


@pytest.mark.parametrize(
    ("query", "told"),
    [
        ("broken", "agent research: the library is closed"),
        ("anything", "agent research: no rule answers the skill 'search_papers' to 'anything'"),
        (5, "tool a2a_research_search_papers validation error (args_invalid): $.query: 5 is not of type 'string'"),
    ],
)
async def test_agent_that_does_not_answer_is_an_error_answer(desk_of: Any, query: Any, told: str) -> None:
    answer = await desk_of(suite=made_up())("a2a_research_search_papers", {"query": query})
    assert (answer.error, answer.content) == (told, f"Error: {told}")


@pytest.mark.parametrize(
    "name",
    [
        "a2a_research_summarise",
        "a2a__research__summarise",
        "a2a__Research_Agent__summarise",
        "a2a_research_agent_summarise",
    ],
)
async def test_skill_has_the_names_of_both_dialects(desk_of: Any, name: str) -> None:
    desk = desk_of(suite=made_up())
    assert (await desk(name, {"query": "x"})).value == "short"
    [spec] = await desk.toolbox.specs([name])
    assert spec.name == name
    assert spec.description == "Summarise (asks the agent Research Agent)"
    assert spec.parameters["required"] == ["query"]
    blocked = await desk(name, {"query": "x"}, policy=ToolPolicy(blocklist=["a2a__research__summarise"]))
    assert blocked.error == f"Tool {name} is blocked by policy"


async def test_filter_decides_which_skills_are_offered(desk_of: Any) -> None:
    desk = desk_of(suite=made_up(skill_filter={"blocklist": ["summarise"]}))
    assert (await desk("a2a_research_summarise", {"query": "x"})).error == "tool not found: a2a_research_summarise"
    with pytest.raises(ConfigurationError, match="the tools are a2a_Research_Agent_search_papers, "):
        await desk.toolbox.specs(["a2a_research_summarise"])


@pytest.mark.parametrize(
    ("rule", "told"),
    [
        ({"match": {"regex": "("}, "parts": []}, r"a2a agent 'research': responses\[0\]\.match\.regex"),
        ({"match": {"containing": "x"}}, r"responses\[0\]\.match\.containing"),
        ({"skill": "x"}, r"responses\[0\]: a rule needs a response"),
    ],
)
async def test_broken_rule_is_told_before_a_conversation(rule: Any, told: str) -> None:
    agent = A2aAgent(name="research", card=CARD, responses=[rule])
    with pytest.raises(ConfigurationError, match=told):
        await Toolbox(Suite(name="s", a2a_agents=[agent])).specs(["a2a_research_summarise"])


def message(*parts: Any) -> dict[str, Any]:
    return {"kind": "message", "role": "agent", "messageId": "m", "parts": list(parts)}


def task(state: str, **fields: Any) -> dict[str, Any]:
    return {
        "kind": "task",
        "id": "t",
        "contextId": "c",
        "status": {"state": state, **fields.pop("status", {})},
        **fields,
    }


TEXT = {"kind": "text", "text": "found it"}


def serve(
    web: Any, result: Any = None, *, card: Any = None, places: Any = ("agent-card.json",), error: Any = None
) -> None:
    """Answers as an agent does: its card at the well-known places, and JSON-RPC anywhere else."""
    told = {"url": f"{web.url}/rpc", **CARD} if card is None else card

    def answer(asked: Any) -> tuple[int, str, bytes]:
        if asked.method == "GET":
            found = any(asked.target.endswith(f"/.well-known/{place}") for place in places)
            return (200, "application/json", json.dumps(told).encode()) if found else (404, "text/plain", b"no")
        reply = {"jsonrpc": "2.0", "id": asked.json["id"], **({"error": error} if error else {"result": result})}
        return (200, "application/json", json.dumps(reply).encode())

    web.answer = answer


async def test_real_agent_is_asked_in_its_protocol(desk_of: Any, web: Any) -> None:
    serve(web, message(TEXT))
    desk = desk_of(suite=real(web.url))
    [spec] = await desk.toolbox.specs(["a2a_research_search_papers"])
    assert spec.description == "Finds papers. (asks the agent Research Agent)"
    answer = await desk("a2a_research_search_papers", {"query": "quantum"})
    assert (answer.content, answer.error) == ("found it", None)
    await desk("a2a__research_agent__search_papers", {"query": "more"})
    card, first, second = web.asked
    assert (card.method, card.target) == ("GET", "/.well-known/agent-card.json")
    assert (first.method, first.target) == ("POST", "/rpc")
    body = first.json
    assert (body["jsonrpc"], body["method"]) == ("2.0", "message/send")
    sent = body["params"]["message"]
    assert (sent["role"], sent["kind"], sent["parts"]) == ("user", "message", [{"kind": "text", "text": "quantum"}])
    assert sent["metadata"] == {"skillId": "search_papers"}
    assert second.json["params"]["message"]["messageId"] != sent["messageId"]


@pytest.mark.parametrize("place", ["agent-card.json", "agent.json"])
async def test_card_is_found_under_both_names_and_at_the_root(desk_of: Any, web: Any, place: str) -> None:
    serve(web, message(TEXT), places=[place])
    desk = desk_of(suite=real(f"{web.url}/agents/one"))
    assert (await desk("a2a_research_summarise", {"query": "x"})).value == "found it"


@pytest.mark.parametrize(
    ("result", "value"),
    [
        (
            task(
                "completed",
                artifacts=[
                    {"artifactId": "a", "parts": [TEXT]},
                    {"artifactId": "b", "parts": [{"kind": "text", "text": "too"}]},
                ],
            ),
            "found it\ntoo",
        ),
        (task("completed", status={"message": message(TEXT)}), "found it"),
        (task("input-required", status={"message": message({"kind": "text", "text": "which year?"})}), "which year?"),
        (message({"kind": "data", "data": {"a": 1}}), {"a": 1}),
        ({"role": "agent", "messageId": "m", "parts": [{"text": "no kinds"}]}, "no kinds"),
    ],
)
async def test_answer_of_a_real_agent_is_read(desk_of: Any, web: Any, result: Any, value: Any) -> None:
    serve(web, result)
    assert (await desk_of(suite=real(web.url))("a2a_research_summarise", {"query": "x"})).value == value


async def test_numbers_and_files_of_a_real_agent_are_kept(desk_of: Any, web: Any) -> None:
    serve(web, message({"kind": "data", "data": {"a": 1, "b": [0.5, {"c": 2}]}}))
    answer = await desk_of(suite=real(web.url))("a2a_research_summarise", {"query": "x"})
    assert json.loads(answer.content) == {"a": 1, "b": [0.5, {"c": 2}]}
    assert "1.0" not in answer.content
    serve(web, message({"kind": "file", "file": MAP}, {"kind": "file", "file": {"uri": "https://maps.test/m.pdf"}}))
    answer = await desk_of(suite=real(web.url))("a2a_research_summarise", {"query": "x"})
    image, file = answer.content
    assert image["image_url"]["url"] == "data:image/png;base64,iVBORw=="
    assert file["file"]["url"] == "https://maps.test/m.pdf"


async def test_agent_of_protocol_version_1_is_asked_in_that_version(desk_of: Any, web: Any) -> None:
    interfaces = [{"url": f"{web.url}/v1", "protocolBinding": "JSONRPC", "protocolVersion": "1.0"}]
    card = {**CARD, "supportedInterfaces": interfaces}
    task = {"id": "t", "contextId": "c", "status": {"state": "TASK_STATE_COMPLETED"}}
    serve(web, {"task": {**task, "artifacts": [{"artifactId": "a", "parts": [{"text": "new"}]}]}}, card=card)
    assert (await desk_of(suite=real(web.url))("a2a_research_summarise", {"query": "x"})).value == "new"
    asked = web.asked[-1]
    assert (asked.target, asked.json["method"], asked.headers["a2a-version"]) == ("/v1", "SendMessage", "1.0")
    assert asked.json["params"]["message"]["metadata"] == {"skillId": "summarise"}


async def test_agent_without_an_interface_that_we_speak_is_an_error_answer(desk_of: Any, web: Any) -> None:
    serve(web, card={**CARD, "url": web.url, "preferredTransport": "GRPC"})
    answer = await desk_of(suite=real(web.url))("a2a_research_summarise", {"query": "x"})
    assert "offers no JSON-RPC interface" in answer.error


async def test_answers_of_a_real_agent_are_limited_in_size(
    desk_of: Any, web: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("duologue.agents.tools.web.LONGEST_ANSWER", 2000)
    serve(web, message({"kind": "text", "text": "x" * 3000}))
    answer = await desk_of(suite=real(web.url))("a2a_research_summarise", {"query": "x"})
    assert "longer than 2000 bytes" in answer.error


async def test_redirects_of_a_real_agent_are_not_followed(desk_of: Any, web: Any) -> None:
    web.answer = lambda asked: (307, "text/plain", b"elsewhere")
    answer = await desk_of(suite=real(web.url, card=CARD))("a2a_research_summarise", {"query": "x"})
    assert "HTTP 307" in answer.error


async def test_real_agent_needs_the_extra(desk_of: Any, web: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "a2a.client", None)
    with pytest.raises(MissingExtraError, match=r"duologue\[a2a\]"):
        await desk_of(suite=real(web.url))("a2a_research_summarise", {"query": "x"})
    assert (await desk_of(suite=made_up())("a2a_research_summarise", {"query": "x"})).value == "short"


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"error": {"code": -32601, "message": "no such method"}}, "answered with an error: no such method"),
        (
            {"result": task("failed", status={"message": message({"text": "out of paper"})})},
            "task is failed: out of paper",
        ),
        ({"result": task("working")}, "the task is working"),
        ({"result": "text"}, "answered with neither a message nor a task"),
        ({"result": {"kind": "task", "status": "odd", "artifacts": {"a": 1}}}, "does not follow the protocol"),
        ({"result": message({"kind": "file", "file": {"bytes": "abc"}})}, "does not follow the protocol"),
        ({"card": []}, "its card cannot be read"),
        ({"card": {"skills": ["summarise", None]}}, "its card cannot be read"),
        ({"card": {"skills": 5}}, "its card cannot be read"),
        ({"places": []}, "its card cannot be read: tool research: GET"),
    ],
)
async def test_real_agent_that_fails_is_an_error_answer(desk_of: Any, web: Any, given: Any, told: str) -> None:
    serve(web, **given)
    answer = await desk_of(suite=real(web.url))("a2a_research_summarise", {"query": "x"})
    assert told in answer.error
    assert answer.content == f"Error: {answer.error}"


async def test_skill_that_a_real_agent_has_not_is_not_found(desk_of: Any, web: Any) -> None:
    serve(web, message(TEXT))
    desk = desk_of(suite=real(web.url))
    assert (await desk("a2a_research_cook", {"query": "x"})).error == "tool not found: a2a_research_cook"
    assert (await desk("weather")).error == "tool not found: weather"


@pytest.mark.parametrize("blocked", ["a2a_research_summarise", "a2a__research__summarise"])
async def test_real_agent_is_blocked_under_either_name(desk_of: Any, web: Any, blocked: str) -> None:
    desk, policy = desk_of(suite=real(web.url)), ToolPolicy(blocklist=[blocked])
    for name in ("a2a_research_summarise", "a2a__research__summarise"):
        assert "is blocked by policy" in (await desk(name, {"query": "x"}, policy=policy)).error
    assert not web.asked


async def test_agent_that_does_not_answer_in_time_is_a_timeout(desk_of: Any, web: Any) -> None:
    web.hang = True
    desk = desk_of(suite=real(web.url, card=CARD, timeout_ms=100))
    assert "timed out" in (await desk("a2a_research_summarise", {"query": "x"})).error


async def test_card_that_does_not_come_costs_all_who_wait_for_it_one_wait(desk_of: Any, web: Any) -> None:
    web.hang = True
    desk = desk_of(suite=real(f"{web.url}/research", timeout_ms=1000))
    answers = await asyncio.gather(*(desk("a2a_research_summarise", {"query": "x"}) for _ in range(5)))
    assert len({answer.error for answer in answers}) == 1
    assert "its card cannot be read" in answers[0].error
    assert "timed out" in answers[0].error
    assert [asked.target for asked in web.asked] == ["/research/.well-known/agent-card.json"]
    web.hang = False
    serve(web, message(TEXT))
    assert (await desk("a2a_research_summarise", {"query": "x"})).error is None


async def test_scheme_is_sent_as_it_is_written(desk_of: Any, web: Any) -> None:
    serve(web, message(TEXT))
    desk = desk_of(suite=real(web.url, auth={"scheme": "ApiKey", "token": "key-4711"}))
    await desk("a2a_research_summarise", {"query": "x"})
    assert {asked.headers["authorization"] for asked in web.asked} == {"ApiKey key-4711"}


async def test_card_in_the_suite_saves_fetching_it(desk_of: Any, web: Any) -> None:
    serve(web, message(TEXT), places=[])
    assert (await desk_of(suite=real(f"{web.url}/rpc", card=CARD))("a2a_research_summarise", {"query": "x"})).value
    assert [(asked.method, asked.target) for asked in web.asked] == [("POST", "/rpc")]


async def test_signing_in_is_for_the_host_of_the_suite_only(
    desk_of: Any, web: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("A2A_TOKEN", "token-4711")
    monkeypatch.setenv("A2A_KEY", "key-0815")
    serve(
        web,
        card={**CARD, "url": "http://elsewhere.invalid/rpc"},
        error={"code": -32000, "message": "no token-4711 or key-0815"},
    )
    suite = real(web.url, auth={"scheme": "bearer", "token_env": "A2A_TOKEN"}, headers_from_env=["X-Key=A2A_KEY"])
    answer = await desk_of(suite=suite)("a2a_research_summarise", {"query": "x"})
    assert {asked.headers["authorization"] for asked in web.asked} == {"Bearer token-4711"}
    assert web.asked[-1].target == "/rpc"
    assert web.asked[-1].headers["x-key"] == "key-0815"
    assert "no *** or ***" in answer.error


@pytest.mark.parametrize(
    ("auth", "told"),
    [
        ({"scheme": "bearer", "token_env": "NOT_SET_HERE"}, "variable NOT_SET_HERE is not set"),
        ({"scheme": "bearer"}, "token or token_env is missing"),
        ({"kind": "bearer", "token": "x"}, "found kind"),
    ],
)
async def test_broken_way_to_sign_in_is_a_broken_configuration(desk_of: Any, web: Any, auth: Any, told: str) -> None:
    with pytest.raises(ConfigurationError, match=told):
        await desk_of(suite=real(web.url, auth=auth))("a2a_research_summarise", {"query": "x"})


async def test_run_is_replayed_without_the_agent(desk_of: Any, web: Any, tmp_path: Path) -> None:
    async def play(suite: Suite, mode: str) -> list[Any]:
        cassette = Cassette(tmp_path / "tape.jsonl", mode)
        desk = desk_of(suite=suite, cassette=cassette)
        specs = await desk.toolbox.specs(["a2a_research_summarise"], cassette=cassette)
        names = ["a2a_research_summarise", "a2a_research_cook"]
        return [specs, [(await desk(name, {"query": "x"})).content for name in names]]

    serve(web, message(TEXT))
    recorded = await play(real(web.url), "record")
    assert recorded[1] == ["found it", "Error: tool not found: a2a_research_cook"]
    assert await play(real("http://127.0.0.1:9"), "replay") == recorded
