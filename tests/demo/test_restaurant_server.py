"""The restaurant over real HTTP, alone and through HttpAgent, and the demo's scenarios against it."""

import json
import shutil
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from waiting import LONG

import duologue.demo.restaurant
from duologue.agents.http.agent import HttpAgent
from duologue.conversation.adapter import AgentInput
from duologue.conversation.result import ScenarioState
from duologue.conversation.setup import CheckInput, evaluate
from duologue.demo.restaurant.server import RestaurantServer
from duologue.demo.scenarios import SCENARIOS, TODAY, DemoScenario
from duologue.messages import user_message
from duologue.vocabulary import CheckStatus

FOLDER = Path(duologue.demo.restaurant.__file__).parent
REST = {
    "A plain booking": ("half past seven", "four", "Anna Berg", "Yes"),
    "A booking with an allergy": ("Sam Reed", "Yes please"),
    "A full house": ("9 pm would be fine", "Yes"),
    "A change of mind": ("Yes, please book it.",),
    "A cancellation": ("Maria Lopez", "Yes"),
}
"""What a user says after the first lines of each scenario."""


@pytest.fixture
def url() -> Iterator[str]:
    with RestaurantServer(TODAY) as server:
        yield server.url


def get(url: str) -> Any:
    with urllib.request.urlopen(url, timeout=LONG) as response:
        return json.load(response)


def post(url: str, body: object, **headers: str) -> Any:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json", **headers})
    with urllib.request.urlopen(request, timeout=LONG) as response:
        return json.load(response)


def say(url: str, text: str, **more: Any) -> Any:
    return post(f"{url}/v1/chat/completions", {"messages": [user_message(text)], **more})


def test_an_answer_is_a_chat_completion_with_the_whole_turn_beside_it(url: str):
    answer = say(url, "What is on the menu?", user="a")
    assert answer["choices"][0]["message"] == answer["messages"][-1]
    assert [message["role"] for message in answer["messages"]] == ["assistant", "tool", "assistant"]
    assert answer["messages"][0]["tool_calls"][0]["function"]["name"] == "menu"


def test_conversations_are_kept_apart_by_user_or_header(url: str):
    body = {"messages": [user_message("A table for two on Friday at 8")]}
    post(f"{url}/v1/chat/completions", body, **{"X-Thread-Id": "a"})
    assert "Shall I book it?" in say(url, "Anna Berg", user="a")["choices"][0]["message"]["content"]
    assert "Shall I book it?" not in say(url, "Anna Berg", user="b")["choices"][0]["message"]["content"]


def test_the_state_shows_bookings_and_reset_takes_them_away(url: str):
    before = get(f"{url}/state")["bookings"]
    say(url, "A table for two on Friday at 8, name is Jo", user="a")
    say(url, "yes", user="a")
    [new] = [row for row in get(f"{url}/state")["bookings"] if row not in before]
    assert (new["name"], new["date"], new["time"], new["party_size"]) == ("Jo", "2026-06-12", "20:00", 2)
    post(f"{url}/reset", {})
    assert get(f"{url}/state")["bookings"] == before


def test_isolated_conversations_have_books_of_their_own():
    with RestaurantServer(TODAY, isolated=True) as server:
        say(server.url, "Cancel booking R1001", user="a")
        say(server.url, "yes", user="a")
        statuses = [get(f"{server.url}/state?thread_id={thread}")["bookings"][0]["status"] for thread in "ab"]
    assert statuses == ["cancelled", "confirmed"]


@pytest.mark.parametrize("body", [b"{", b"[]", {}, {"messages": "x"}, {"messages": ["x"]}, {"messages": [{}]}])
def test_a_request_that_breaks_the_contract_is_refused(url: str, body: object):
    with pytest.raises(urllib.error.HTTPError) as caught:
        post(f"{url}/v1/chat/completions", body)
    with caught.value as response:
        assert response.code == 400
        assert json.load(response)["error"]["message"]


def test_it_runs_alone_wherever_it_is_copied_to(tmp_path: Path):
    shutil.copytree(FOLDER, tmp_path / "restaurant", ignore=shutil.ignore_patterns("__pycache__"))
    command = [sys.executable, "-S", "-m", "restaurant", "--port", "0", "--today", "2026-06-10"]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout
            started = json.loads(process.stdout.readline())
            assert get(f"{started['url']}/health") == {"status": "ok"}
            assert get(f"{started['url']}/state")["today"] == "2026-06-10"
        finally:
            process.terminate()
    assert process.returncode == 0


async def converse(url: str, scenario: DemoScenario, *, stream: bool = False) -> ScenarioState:
    state = ScenarioState(thread_id=scenario.name)
    async with HttpAgent(url, stream=stream) as agent:
        for line in (*scenario.lines, *REST[scenario.name]):
            state.view.messages.append(user_message(line))
            input = AgentInput(
                thread_id=state.thread_id, messages=state.messages, new_messages=[], scenario_state=state
            )
            state.view.messages.extend(await agent.call(input))
    return state


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
async def test_the_demo_s_scenarios_come_out_as_they_say(url: str, scenario: DemoScenario):
    state = await converse(url, scenario)
    outcomes = [
        (check.name, (await evaluate(check, CheckInput(state=state, records=[], turn=0))).status)
        for check in scenario.checks_against(url)
    ]
    failed = [name for name, status in outcomes if status is not CheckStatus.PASSED]
    assert len(outcomes) >= 2
    assert failed == (
        ["The book has Leo Marsh on Friday 12 June, 20:00, six people"] if scenario.expected_to_fail else []
    )


async def test_a_streamed_answer_is_the_same_as_a_whole_one(url: str):
    async def answer(thread_id: str, text: str) -> Any:
        message = user_message(text)
        input = AgentInput(
            thread_id=thread_id, messages=[message], new_messages=[message], scenario_state=ScenarioState()
        )
        async with HttpAgent(url, stream=True) as agent:
            pieces = agent.stream(input)
            assert pieces
            streamed = [piece async for piece in pieces]
            return streamed, await agent.call(input)

    streamed, whole = await answer("a", "Which dishes are vegan?")
    assert "".join(piece for piece in streamed if isinstance(piece, str)) == whole[-1]["content"]
    assert [piece["role"] for piece in streamed if not isinstance(piece, str)] == ["assistant", "tool"]
