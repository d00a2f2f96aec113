"""A person speaks with an agent over a WebSocket of the service: real sockets on both sides."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Generator, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import httpx
import pytest
from loopback import Answer, Asked, loopback_server
from running_service import running_service
from sounds import tone, vowels
from talking_socket import UNDERSTOOD, TalkingSocket, talking_socket
from waiting import LONG, wait_until
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from duologue.server.pages import voice
from duologue.voice import recognition, synthesis
from duologue.voice.audio import AudioChunk

Json = dict[str, Any]
FRAME = 960


@pytest.fixture(scope="module")
def agent() -> Iterator[TalkingSocket]:
    """A voice agent."""
    with talking_socket() as running:
        yield running


@dataclass
class Service:
    """A running service, and its projects ``shop`` and ``bank``."""

    url: str
    tokens: dict[tuple[str, str], str] = field(default_factory=dict)

    def api(self, token: str = "", project: str = "shop") -> httpx.Client:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        params = {"project": project}
        return httpx.Client(base_url=f"{self.url}/api/v1", headers=headers, params=params, timeout=LONG)

    def speaker(self, url: str, *, name: str, token: str = "", project: str = "shop", **runtime: Any) -> str:
        """A saved agent behind a WebSocket; its id."""
        agent = {"name": name, "runtime": {"kind": "websocket", "url": url, **runtime}}
        with self.api(token, project) as api:
            made = api.post("/agents", json={"name": name, "agent": agent})
            assert made.is_success, made.text
            return made.json()["id"]

    @contextmanager
    def call(self, *, token: str = "", origin: str | None = "", headers: Any = None, **query: str) -> Generator[Call]:
        """A call from a page of the service, or of another origin."""
        query = {"project": "shop", **query}
        address = f"{self.url.replace('http', 'ws', 1)}/api/pages/voice?{urlencode(query)}"
        sent = dict(headers or {})
        if token:
            sent["Cookie"] = f"duologue_token_{self.url.rpartition(':')[2]}={token}"
        with connect(
            address,
            origin=self.url if origin == "" else origin,
            additional_headers=sent,
            compression=None,
            max_queue=None,
        ) as connection:
            call = Call(connection)
            thread = threading.Thread(target=call.listen)
            thread.start()
            try:
                yield call
            finally:
                call.end()
                connection.close()
                thread.join()


@dataclass
class Call:
    """What came over a connection."""

    connection: ClientConnection
    news: list[Json] = field(default_factory=list)
    frames: int = 0
    _over: threading.Event = field(default_factory=threading.Event)

    def listen(self) -> None:
        for message in self.connection:
            if isinstance(message, bytes):
                self.frames += 1
                assert len(message) == FRAME
            else:
                self.news.append(json.loads(message))
        self._over.set()

    def until(self, kind: str, **fields: Any) -> Json:
        """The first news of a kind."""

        def found() -> Json | None:
            return next((item for item in self.of(kind) if fields.items() <= item.items()), None)

        wait_until(lambda: found() is not None or self._over.is_set())
        item = found()
        assert item is not None, self.news
        return item

    def of(self, kind: str) -> list[Json]:
        return [item for item in self.news if item["type"] == kind]

    def order(self, kind: str, **fields: Any) -> None:
        self.connection.send(json.dumps({"type": kind, **fields}))

    def say(self, seconds: float) -> None:
        """Sound at the pace of a microphone, 40 ms at a time."""
        pause = threading.Event()
        sound = vowels(seconds)
        for at in range(0, len(sound), 2 * FRAME):
            self.connection.send(sound[at : at + 2 * FRAME])
            pause.wait(0.038)

    def say_nothing(self) -> None:
        """The microphone is silent, as long as nothing comes of it."""
        before = len(self.news)
        pause = threading.Event()
        while not [item for item in self.news[before:] if item["type"] in {"words", "over"}]:
            self.connection.send(bytes(2 * FRAME))
            pause.wait(0.038)

    def end(self) -> None:
        self._over.set()


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service that asks for no token."""
    with running_service(tmp_path_factory.mktemp("open"), workers=None) as serving:
        found = Service(serving.url)
        with httpx.Client(base_url=f"{found.url}/api/v1", timeout=LONG) as api:
            for name in ("shop", "bank"):
                assert api.post("/projects", json={"name": name}).is_success
        yield found


def test_a_person_speaks_and_is_answered_and_cuts_in(service: Service, agent: TalkingSocket) -> None:
    speaker = service.speaker(f"{agent.url}/stubborn", name="desk", interruption=True)
    with service.call(agent=speaker) as call:
        assert call.until("calling")["interruption"] is True
        call.until("connected")
        call.say(1.0)
        call.until("speaking", who="user", on=True)
        call.until("words", text="one")
        call.until("line", who="user", text=UNDERSTOOD)
        wait_until(lambda: call.frames > 5)
        assert not call.of("interrupted"), "an agent that answers early is not interrupted for it"
        call.say(1.0)
        interrupted = call.until("interrupted")
        assert interrupted["value"]["native"], "the agent was told to stop"
        assert interrupted["value"]["agent_was_speaking"]
        cut = call.until("line", who="agent", on=True)
        assert cut["text"].startswith("one")
        assert "fifteen" not in cut["text"]
        call.until("line", who="agent", text="fine")
        lines = {item["line"]: item["who"] for item in call.news if item["type"] == "line"}
        assert [lines[number] for number in sorted(lines)] == ["user", "agent", "user", "agent"]
        call.order("hang_up")
        assert call.until("over") == {"type": "over", "reason": ""}
    wait_until(lambda: agent.open == 0)
    assert '"interrupt"' in "".join(agent.orders)


def test_the_person_can_tell_the_agent_to_stop_and_press_keys(service: Service, agent: TalkingSocket) -> None:
    speaker = service.speaker(f"{agent.url}/stubborn", name="keys", interruption=True, dtmf=True)
    with service.call(agent=speaker) as call:
        call.until("connected")
        call.say(1.0)
        call.until("words", text="one")
        call.order("interrupt")
        assert call.until("interrupted")["value"]["native"]
        call.order("keys", keys="12#")
        wait_until(lambda: any('"12#"' in item for item in agent.orders))
        call.order("keys", keys="x")
        assert "x" in call.until("notice")["text"]
    wait_until(lambda: agent.open == 0)  # the page has gone without a word


@pytest.mark.parametrize(
    ("path", "over"),
    [
        ("/refuse", {"error": "403 Forbidden"}),
        ("/break", {"error": "out of order"}),
        ("/leave", {"reason": "closing time"}),
    ],
)
def test_how_a_call_ends_is_told(service: Service, agent: TalkingSocket, path: str, over: dict[str, str]) -> None:
    speaker = service.speaker(f"{agent.url}{path}", name=f"agent{path[1:]}")
    with service.call(agent=speaker) as call:
        wait_until(lambda: call.of("connected") or call.of("over"))
        if call.of("connected"):
            call.say(0.8)
        told = call.until("over")
    [(name, words)] = over.items()
    assert words in told[name], told
    wait_until(lambda: agent.open == 0)


def test_an_agent_that_is_not_there(service: Service) -> None:
    speaker = service.speaker("ws://127.0.0.1:9/talk", name="nobody")
    with service.call(agent=speaker) as call:
        assert "cannot connect to ws://127.0.0.1:9" in call.until("over")["error"]


@pytest.mark.parametrize(
    ("sent", "told"),
    [
        (b"odd", "an odd number"),
        ("{", "no JSON"),
        ("[]", "of type 'None'"),
        ('{"type": "dance"}', "of type 'dance'"),
        ('{"type": []}', "of type '[]'"),
        ('{"type": {"hang_up": 1}}', "hang_up': 1"),
        ('{"type": true}', "of type 'True'"),
        ('{"__proto__": {"type": "hang_up"}}', "of type 'None'"),
        ('{"type": "\\ud800"}', "of type '\ufffd'"),
        ("[" * 60_000, "no JSON"),
        ("1" * 60_000, "no JSON"),
        ("", "no JSON"),
    ],
    ids=range(12),
)
def test_what_is_no_message_of_a_page_ends_the_call(
    service: Service, agent: TalkingSocket, sent: str | bytes, told: str, request: pytest.FixtureRequest
) -> None:
    speaker = service.speaker(f"{agent.url}/talk", name=request.node.name)
    with service.call(agent=speaker) as call:
        call.until("connected")
        call.connection.send(sent)
        assert told in call.until("over")["error"]
    wait_until(lambda: agent.open == 0)


@pytest.mark.parametrize(
    ("message", "told"),
    [
        (bytes(60_000), "more sound than anybody can speak"),
        (b"", "more sound than anybody can speak"),
        (bytes(2), "more sound than anybody can speak"),
        ('{"type": "here"}', "more than can be done"),
        ('{"type": "interrupt"}', "more than can be done"),
        ('{"type": "keys", "keys": "' + "1" * 64 + '"}', "more than can be done"),
        ('{"type": "keys", "keys": {"__proto__": 1}}', "more than can be done"),
    ],
    ids=range(7),
)
def test_a_page_that_sends_without_measure_is_hung_up_on(
    service: Service,
    agent: TalkingSocket,
    message: str | bytes,
    told: str,
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    speaker = service.speaker(f"{agent.url}/talk", name=request.node.name, interruption=True)
    monkeypatch.setattr(voice, "_AHEAD", 2.0)
    before = len(agent.orders)
    with service.call(agent=speaker) as call:
        call.until("connected")
        with suppress(ConnectionClosed):
            for _ in range(5_000):
                call.connection.send(message)
        assert told in call.until("over")["error"]
    wait_until(lambda: agent.open == 0)
    assert len(agent.orders) - before < 300, "nor is the agent flooded"


def test_one_project_leaves_others_a_place(
    service: Service, agent: TalkingSocket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(voice, "MOST_OF_PROJECT", 2)
    speaker = service.speaker(f"{agent.url}/talk", name="one of many")
    other = service.speaker(f"{agent.url}/talk", name="one of many", project="bank")
    with service.call(agent=speaker), service.call(agent=speaker):
        assert refused(service, agent=speaker) == 429
        with service.call(agent=other, project="bank") as call:
            call.until("connected")
    wait_until(lambda: agent.open == 0)
    with service.call(agent=speaker) as call:
        call.until("connected")


def refused(service: Service, **how: Any) -> int:
    """The status with which a call is refused."""
    with pytest.raises(InvalidStatus) as caught, service.call(**how):
        pass
    return caught.value.response.status_code


def test_what_cannot_be_called(service: Service, agent: TalkingSocket, monkeypatch: pytest.MonkeyPatch) -> None:
    speaker = service.speaker(f"{agent.url}/talk", name="own")
    told = {"agent": "nobody"}, {"agent": speaker, "connector": "x"}, {"connector": "x"}, {}
    for query, words in zip(told, ("not found", "either an agent or", "not found", "either an agent or"), strict=True):
        with service.call(**query) as call:
            assert words in call.until("over")["error"]
    with service.call(agent=speaker, project="bank") as call:
        assert "not found" in call.until("over")["error"]
    monkeypatch.setattr(voice, "MOST_CALLS", 0)
    assert refused(service, agent=speaker) == 429


@pytest.mark.parametrize("origin", ["https://evil.example", "http://localhost:1", "null", "http://127.0.0.1"])
def test_pages_of_other_origins_may_not_call(service: Service, agent: TalkingSocket, origin: str) -> None:
    assert refused(service, agent="any", origin=origin) == 403


def test_only_pages_may_ask_for_the_microphone(service: Service) -> None:
    for path, policy in (
        ("/", "(self)"),
        ("/p/shop/playground", "(self)"),
        ("/static/dom.js", "()"),
        ("/api/v1", "()"),
    ):
        given = httpx.get(f"{service.url}{path}").headers["permissions-policy"]
        assert given == f"camera=(), geolocation=(), microphone={policy}", path


def heard_and_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """Speech to text and text to speech of this process, which are quick."""

    class Recogniser:
        async def transcribe(self, chunk: AudioChunk) -> str:
            return "Where is my parcel?"

    monkeypatch.setattr(recognition, "_chosen", [Recogniser()])
    monkeypatch.setitem(synthesis._registered, "local", lambda text, voice: tone(300, 0.6))
    synthesis.forget_speech("local")


def test_a_connector_and_an_agent_that_write_are_spoken_with(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    heard_and_said(monkeypatch)

    def answered(asked: Asked) -> Answer:
        if "broken" in asked.path:
            return Answer(body={"error": "out of order"}, status=500)
        last = asked.json["messages"][-1]["content"]
        return Answer(body={"message": {"role": "assistant", "content": f"You said: {last}"}})

    with loopback_server(answered) as peer, service.api() as api:
        made = api.post("/connectors", json={"name": "shop", "type": "http", "base_url": peer.url}).json()
        http = {"url": f"{peer.url}/broken", "preset": "message", "body": {"messages": "{{messages}}"}}
        broken = api.post("/agents", json={"agent": {"name": "broken", "http": http}}).json()
        with service.call(connector=made["id"]) as call:
            call.until("connected")
            call.say(1.0)
            call.say_nothing()
            assert call.until("line", who="agent")["text"] == "You said: Where is my parcel?"
            call.until("line", who="user", text="Where is my parcel?")
            assert call.frames
            call.order("hang_up")
            call.until("over", reason="")
        with service.call(agent=broken["id"]) as call:
            call.until("connected")
            call.say(1.0)
            call.say_nothing()
            assert "500" in call.until("over")["error"]


def test_a_mock_model_hears_nobody(service: Service) -> None:
    model = {"name": "m", "provider": "mock", "model": "x", "options": {"response_text": "Hi."}}
    prompts = [{"name": "p", "system_template": "You help."}]
    with service.api() as api:
        agent = {"agent": {"name": "mock", "model": "m", "prompt": "p"}, "models": [model], "prompts": prompts}
        made = api.post("/agents", json=agent)
    with service.call(agent=made.json()["id"]) as call:
        assert "has a mock model, which hears nobody" in call.until("over")["error"]


def test_other_names_of_this_machine_are_not_answered(service: Service) -> None:
    """As a page could have them that has another address for its own name (DNS rebinding)."""
    with socket.create_connection(service.url.removeprefix("http://").split(":")) as raw:
        head = ["GET /api/pages/voice?agent=any HTTP/1.1", "Host: evil.example", "Origin: http://evil.example"]
        head += ["Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13"]
        raw.sendall("\r\n".join([*head, "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "", ""]).encode())
        assert raw.recv(100).startswith(b"HTTP/1.1 421 ")


def test_limits_of_time_and_of_who_is_there(
    service: Service, agent: TalkingSocket, monkeypatch: pytest.MonkeyPatch
) -> None:
    speaker = service.speaker(f"{agent.url}/talk", name="long")
    monkeypatch.setattr(voice, "LONGEST_CALL", 0.5)
    with service.call(agent=speaker) as call:
        assert "minutes, which are over" in call.until("over")["error"]
    monkeypatch.setattr(voice, "LONGEST_CALL", LONG)
    monkeypatch.setattr(voice, "_UNHEARD", 0.5)
    with service.call(agent=speaker) as call:
        assert "has sent nothing for 0.5 s" in call.until("over")["error"]
    wait_until(lambda: agent.open == 0)


def test_tokens_scopes_and_projects(tmp_path: Path, agent: TalkingSocket) -> None:
    with running_service(tmp_path, workers=None, allow_private_addresses=True) as serving:
        url = serving.url
        with httpx.Client(base_url=f"{url}/api/v1", timeout=LONG) as api:
            for name in ("shop", "bank"):
                assert api.post("/projects", json={"name": name}).is_success
            made = {
                (scope, name): api.post(
                    "/tokens", json={"name": f"{scope} {name}", "scope": scope, "project": name}
                ).json()
                for scope, name in (("read", "shop"), ("run", "shop"), ("run", "bank"))
            }
    with running_service(tmp_path, workers=None, allow_private_addresses=True) as serving:
        service = Service(serving.url)
        token = {key: item["token"] for key, item in made.items()}
        speaker = service.speaker(f"{agent.url}/talk", name="desk", token=token["run", "shop"])
        assert refused(service, agent=speaker) == 401
        assert refused(service, agent=speaker, token="duo_wrong") == 401
        assert refused(service, agent=speaker, token=token["read", "shop"]) == 403
        # The cookie of somebody who visits another page, and a program that says no origin with a cookie.
        assert refused(service, agent=speaker, token=token["run", "shop"], origin="https://evil.example") == 403
        assert refused(service, agent=speaker, token=token["run", "shop"], origin=None) == 403
        assert refused(service, agent=speaker, token=token["run", "bank"]) == 404
        with service.call(agent=speaker, token=token["run", "bank"], project="bank") as call:
            assert "not found" in call.until("over")["error"]
        with service.call(agent=speaker, token=token["run", "shop"]) as call:
            call.until("connected")
        bearer = {"Authorization": f"Bearer {token['run', 'shop']}"}
        with service.call(agent=speaker, headers=bearer, origin=None) as call:
            call.until("connected")
            revoked = made["run", "shop"]["id"]
            with service.api(token["run", "shop"]) as api:
                assert api.get("/personas").is_success
            serving.app.state.shared.held[revoked] = (float("inf"), False)
            assert "not valid any more" in call.until("over")["error"]
    wait_until(lambda: agent.open == 0)


def test_a_service_that_stops_ends_calls(tmp_path: Path, agent: TalkingSocket) -> None:
    with running_service(tmp_path, workers=None) as serving:
        service = Service(serving.url)
        with httpx.Client(base_url=f"{service.url}/api/v1", timeout=LONG) as api:
            assert api.post("/projects", json={"name": "shop"}).is_success
        speaker = service.speaker(f"{agent.url}/talk", name="desk")
        with service.call(agent=speaker) as call:
            call.until("connected")
            serving.app.state.shared.stopping.set()
            assert "being stopped" in call.until("over")["error"]
    wait_until(lambda: agent.open == 0)
