"""Agents on the telephone: calls both ways, the webhook, the media stream, keys, and what happens when they break."""

from __future__ import annotations

import asyncio
import json
import re
from base64 import b64encode
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from broken_peers import CONVERSATIONS, BrokenPeer, Peer, Wire, check_conversation, everything_from, odd_messages
from heard_sound import hear, likeness, sound_of, talk, voice_like
from loopback import Answer
from twilio.rest import Client
from twilio.twiml.voice_response import Connect, Stream, VoiceResponse
from twilio_service import ACCOUNT, NUMBER, OLD_WEBHOOK, OTHER, PUBLIC, TOKEN, TwilioService, listening, twilio_service
from waiting import LONG, until
from websockets.exceptions import ConnectionClosed, InvalidStatus

import duologue
from duologue.errors import ConfigurationError
from duologue.voice.adapters.twilio import TwilioAgentAdapter
from duologue.voice.audio import silent_chunk
from duologue.voice.incoming import AgentKeys, CallEnded
from duologue.voice.port import VoiceConnectionError


def _adapter(service: TwilioService, **options: Any) -> TwilioAgentAdapter:
    given: dict[str, Any] = {
        "account_sid": ACCOUNT,
        "auth_token": TOKEN,
        "phone_number": NUMBER,
        "public_base_url": PUBLIC,
        "http_port": 0,
        "api_url": service.url,
    }
    return TwilioAgentAdapter(**{**given, **options})


async def _connected(
    adapter: TwilioAgentAdapter, service: TwilioService, meanwhile: Callable[[], Awaitable[Any]]
) -> None:
    connecting = asyncio.create_task(adapter.connect())
    await listening(adapter, service)
    await meanwhile()
    await connecting


async def _called(service: TwilioService, **options: Any) -> TwilioAgentAdapter:
    """An adapter that was called."""
    adapter = _adapter(service, answer=True, **options)

    async def meanwhile() -> None:
        await until(lambda: service.settings["voice_url"] != OLD_WEBHOOK)
        await service.call_in()

    await _connected(adapter, service, meanwhile)
    return adapter


# --- calls ----------------------------------------------------------------------------------------------------------


async def test_a_call_to_the_number_goes_there_and_back_without_clicks() -> None:
    said = voice_like(2.0)
    async with twilio_service() as service:
        adapter = await _called(service)
        await talk(adapter, said)
        heard = await hear(adapter, 1.95)
        assert {len(frame) for frame in service.phone.frames} == {160}
        await adapter.disconnect()
        assert adapter.call_sid == ""
    assert likeness(said, sound_of(heard)) > 33


async def test_the_webhook_of_the_number_is_set_and_set_back() -> None:
    async with twilio_service() as service:
        before = dict(service.settings)
        adapter = await _called(service)
        assert service.settings == {
            "voice_url": f"{PUBLIC}/twilio/voice",
            "voice_method": "POST",
            "voice_application_sid": "",
        }
        await adapter.disconnect()
        await adapter.disconnect()
        assert service.settings == before


async def test_a_call_is_placed_and_hung_up() -> None:
    async with twilio_service() as service:
        adapter = _adapter(service, call_to=OTHER)
        connecting = asyncio.create_task(adapter.connect())
        await listening(adapter, service)
        await connecting
        await talk(adapter, voice_like(0.3))
        await hear(adapter, 0.2)
        assert adapter.call_sid == "CA1"
        await adapter.disconnect()
        assert service.statuses == ["completed"]
        assert service.settings["voice_url"] == OLD_WEBHOOK
        [form] = service.forms("/Calls.json")
    twiml = dict(form)["Twiml"]
    assert dict(form) | {"Twiml": ""} == {
        "To": OTHER,
        "From": NUMBER,
        "Twiml": "",
        "StatusCallback": f"{PUBLIC}/twilio/status",
        "StatusCallbackEvent": "completed",
    }
    secret = re.search(r'name="token" value="([^"]+)"', twiml)
    assert secret is not None
    # The vendor's own package writes and sends the same.
    response, connect, stream = VoiceResponse(), Connect(), Stream(url="wss://voice.example.test/twilio/stream")
    stream.parameter(name="token", value=secret[1])
    connect.append(stream)
    response.append(connect)
    assert twiml == str(response)
    assert form == _sent_by_twilios_client(twiml)


def _sent_by_twilios_client(twiml: str) -> list[tuple[str, str]]:
    sent: list[tuple[str, str]] = []

    class Captured(Exception):
        pass

    class Http:
        def request(self, method: str, url: str, params: Any = None, data: Any = None, *rest: Any, **more: Any) -> Any:
            assert url == f"https://api.twilio.com/2010-04-01/Accounts/{ACCOUNT}/Calls.json"
            for name, value in data.items():
                sent.extend((name, each) for each in (value if isinstance(value, list) else [value]))
            raise Captured

    client = Client(ACCOUNT, TOKEN, http_client=Http())  # type: ignore[arg-type]
    with pytest.raises(Captured):
        client.calls.create(
            to=OTHER,
            from_=NUMBER,
            twiml=twiml,
            status_callback=f"{PUBLIC}/twilio/status",
            status_callback_event=["completed"],
        )
    order = ["To", "From", "Twiml", "StatusCallback", "StatusCallbackEvent"]
    return sorted(sent, key=lambda pair: order.index(pair[0]))


@pytest.mark.parametrize(
    ("status", "says"),
    [
        ("busy", "busy"),
        ("no-answer", "not answered"),
        ("failed", "failed"),
        ("canceled", "cancelled"),
        ("completed", "ended before"),
    ],
)
async def test_a_call_that_is_not_answered(status: str, says: str) -> None:
    async with twilio_service() as service:
        service.answers = status
        adapter = _adapter(service, call_to=OTHER)
        connecting = asyncio.create_task(adapter.connect())
        await listening(adapter, service)
        with pytest.raises(
            VoiceConnectionError, match=rf"TwilioAgentAdapter: the call to \+14155550199 was {says}.*486"
        ):
            await connecting
        await adapter.disconnect()


async def test_calls_made_before_the_run() -> None:
    """They are made on the event loop of voice, and used from any."""
    async with twilio_service() as service:
        async with _adapter(service) as adapter:
            service.port = adapter.http_port
            with pytest.raises(VoiceConnectionError, match="there is no call"):
                await adapter.send_audio(silent_chunk(0.02))
            await adapter.place_call(OTHER)
            await adapter.connect()  # as a run does
            with pytest.raises(VoiceConnectionError, match="it has a call already"):
                await adapter.wait_for_call()
            await talk(adapter, voice_like(0.3))
            await hear(adapter, 0.2)
        async with _adapter(service) as adapter:
            service.port = adapter.http_port
            waiting = asyncio.create_task(adapter.wait_for_call())
            await until(lambda: service.settings["voice_url"] != OLD_WEBHOOK)
            await service.call_in()
            await waiting
            await talk(adapter, voice_like(0.3))
            await hear(adapter, 0.2)
        assert service.settings["voice_url"] == OLD_WEBHOOK


async def test_connecting_without_a_call_only_listens() -> None:
    async with twilio_service() as service:
        adapter = _adapter(service)
        await adapter.connect()
        await listening(adapter, service)
        assert "<Reject" in await service.call_in()
        await adapter.disconnect()


async def test_a_call_that_is_only_held_for_its_keys() -> None:
    async with twilio_service() as service, _adapter(service) as adapter:
        service.port = adapter.http_port
        await adapter.place_call(OTHER, attach_stream_to_self=False)
        await adapter.send_dtmf("1w2#")
        await until(lambda: service.keys)
        assert (service.keys, service.phones) == (["1w2#"], [])
        await adapter.disconnect()
        assert service.statuses == ["completed"]


async def test_nobody_calls() -> None:
    async with twilio_service() as service, _adapter(service) as adapter:
        with pytest.raises(VoiceConnectionError, match=r"nobody called \+14155550100 within 0\.1 s"):
            await adapter.wait_for_call(timeout=0.1)


async def test_the_port_is_taken() -> None:
    async with twilio_service() as service, _adapter(service) as adapter:
        other = _adapter(service, http_port=adapter.http_port, answer=True)
        for _ in range(2):
            with pytest.raises(
                VoiceConnectionError, match=f"cannot listen on 127.0.0.1:{adapter.http_port}.*http_port"
            ):
                await other.connect()
        await other.disconnect()


# --- keys, interruptions, the end -----------------------------------------------------------------------------------


async def test_keys_of_the_other_side() -> None:
    told: list[str] = []

    async def on_dtmf(key: str) -> None:
        told.append(key)
        if key == "#":
            raise ValueError("the caller's own mistake")

    async with twilio_service() as service:
        adapter = await _called(service, on_dtmf=on_dtmf)
        for key in "1#2":
            await service.phone.press(key)
        await service.phone.hang_up()
        items, _ = await everything_from(adapter)
        await adapter.disconnect()
    assert items == [*(AgentKeys(keys=key) for key in "1#2"), CallEnded(reason="the other side has hung up")]
    assert told == ["1", "#", "2"]


async def test_keys_are_pressed_and_the_call_goes_on() -> None:
    async with twilio_service() as service:
        adapter = await _called(service)
        await talk(adapter, voice_like(0.2))
        await hear(adapter, 0.1)
        await adapter.send_dtmf("42#")
        assert service.keys == ["42#"]
        assert len(service.phones) == 2
        said = voice_like(1.0)
        await talk(adapter, said)
        heard = await hear(adapter, 1.0)
        assert likeness(said, sound_of(heard)[-48_000:]) > 25
        await service.phone.hang_up()
        items, _ = await everything_from(adapter)
        assert items[-1] == CallEnded(reason="the other side has hung up")
        await adapter.disconnect()


async def test_keys_that_twilio_refuses_leave_the_call_as_it_is() -> None:
    async with twilio_service() as service:
        adapter = await _called(service)
        service.broken = Answer(status=500, body={"message": "try later"})
        with pytest.raises(VoiceConnectionError, match=r"could not press keys: .*status 500"):
            await adapter.send_dtmf("1")
        service.broken = None
        await talk(adapter, voice_like(0.3))
        await hear(adapter, 0.2)
        with pytest.raises(ValueError, match="keys are 'x'"):
            await adapter.send_dtmf("x")
        await adapter.disconnect()


async def test_the_user_cuts_in() -> None:
    async with twilio_service() as service:
        adapter = await _called(service)
        await service.phone.say(b"\x20" * 16_000)
        await until(lambda: adapter._inbox._bytes > 80_000)  # pyright: ignore[reportPrivateUsage]
        await adapter.interrupt()
        await until(lambda: service.phone.named("clear"))
        with pytest.raises(TimeoutError):
            await adapter.receive(0.02)
        await adapter.disconnect()


async def test_a_line_without_sound_says_nothing() -> None:
    async with twilio_service() as service:
        adapter = await _called(service)
        await service.phone.say(b"\xff" * 80_000)
        await service.phone.hang_up()
        items, _ = await everything_from(adapter)
        await adapter.disconnect()
    assert len(sound_of(items)) < 0.3 * 48_000


# --- the webhook ----------------------------------------------------------------------------------------------------

_HANDSHAKE = b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
_CALL = {"CallSid": "CA1", "From": OTHER, "To": NUMBER, "Note": "ünïcode & more", "Empty": ""}


@pytest.mark.parametrize("public", [PUBLIC, "https://voice.example.test:8443", "http://127.0.0.1:80", ""])
@pytest.mark.parametrize("method", ["POST", "GET"])
async def test_signed_requests_are_answered(public: str, method: str) -> None:
    async with twilio_service() as service:
        service.public = public or PUBLIC
        forwarded = {"X-Forwarded-Proto": "https"} if not public else {}
        async with _adapter(service, public_base_url=public) as adapter:
            service.port = adapter.http_port
            status, body = await service.webhook("/twilio/voice", _CALL, method=method, headers=forwarded)
    assert (status, '<Reject reason="busy" />' in body) == (200, True)


@pytest.mark.parametrize(
    "change",
    [
        {"token": "another-token"},
        {"headers": {"X-Twilio-Signature": ""}},
        {"headers": {"X-Twilio-Signature": "AAAA"}},
        {"headers": {"X-Twilio-Webhooks-Signature-Settings": "algorithm=HMAC_SHA256"}},
        {"headers": {"X-Twilio-Webhooks-Signature-Settings": "algorithm=NONE"}},
    ],
)
async def test_requests_that_are_not_signed_are_refused(
    change: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    async with twilio_service() as service:
        adapter = _adapter(service, answer=True)
        connecting = asyncio.create_task(adapter.connect())
        await listening(adapter, service)
        for path in ("/twilio/voice", "/twilio/status"):
            assert (await service.webhook(path, _CALL, **change))[0] == 403
        connecting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await connecting
        await adapter.disconnect()
    assert "is not signed with the auth token" in caplog.text
    assert TOKEN not in caplog.text


async def test_signatures_need_not_be_checked() -> None:
    async with twilio_service() as service, _adapter(service, validate_signature=False) as adapter:
        service.port = adapter.http_port
        assert (await service.webhook("/twilio/voice", _CALL, token="another"))[0] == 200


async def test_only_allowed_callers_are_answered() -> None:
    async with twilio_service() as service:
        adapter = _adapter(service, answer=True, allowed_callers=[OTHER])
        connecting = asyncio.create_task(adapter.connect())
        await listening(adapter, service)
        await until(lambda: service.settings["voice_url"] != OLD_WEBHOOK)
        for caller in ("+14155550123", "anonymous", ""):
            assert '<Reject reason="rejected" />' in await service.call_in(caller)
        await service.call_in(OTHER)
        await connecting
        assert '<Reject reason="busy" />' in await service.call_in(OTHER)
        await adapter.disconnect()


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"POST /twilio/other HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n", 404),
        (b"DELETE /twilio/voice HTTP/1.1\r\nHost: a\r\n\r\n", 404),
        (b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", 404),
        (
            b"GET /other HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" + _HANDSHAKE,
            404,
        ),
        (b"POST /twilio/voice HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\na=b\r\n0\r\n\r\n", 403),
        (b"POST /twilio/voice HTTP/1.1\r\nHost: a\r\nContent-Length: 70000\r\n\r\n" + b"a" * 70_000, 413),
        (b"POST /twilio/voice HTTP/1.1\r\nHost: a\r\nX: " + b"a" * 20_000 + b"\r\n\r\n", 431),
        (b"A" * 40_000, 431),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400),
        (b"POST /twilio/voice HTTP/1.1\r\n\r\n", 400),
        (b"POST /twilio/voice\r\n\r\n", 400),
        (b"POST /twilio/voice HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n", 400),
    ],
    ids=lambda value: repr(value[:24]) if isinstance(value, bytes) else None,
)
async def test_requests_of_others(request_: bytes, status: int) -> None:
    async with twilio_service() as service, _adapter(service) as adapter:
        service.port = adapter.http_port
        answered, _ = await service.raw(request_)
    assert answered == status


# --- streams that are not the call's --------------------------------------------------------------------------------


async def _refused(connection: Any) -> int:
    await connection.wait_closed()
    return connection.close_code


async def test_streams_without_the_secret_are_refused() -> None:
    async with twilio_service() as service:
        adapter = _adapter(service, answer=True)
        connecting = asyncio.create_task(adapter.connect())
        await listening(adapter, service)
        await until(lambda: service.settings["voice_url"] != OLD_WEBHOOK)
        url = "wss://voice.example.test/twilio/stream"
        for parameters in ({}, {"token": ""}, {"token": "guessed"}):
            phone = await service.stream(url, "CA1", parameters)
            await until(lambda phone=phone: phone.connection.close_code)
            assert phone.connection.close_code == 1008
        for _ in range(2):
            with pytest.raises(InvalidStatus):
                await service.stream("wss://voice.example.test/twilio/other", "CA1", {})
        # Somebody calls, and another one is quicker than Twilio, but does not know the secret.
        form = {"CallSid": "CA1", "From": OTHER, "To": NUMBER}
        status, twiml = await service.webhook("/twilio/voice", form)
        assert status == 200
        phone = await service.stream(url, "CA1", {"token": "guessed"})
        await until(lambda: phone.connection.close_code)
        assert phone.connection.close_code == 1008
        await service._carry_out(twiml, "CA1")
        await connecting
        # The secret counts once.
        secret = re.search(r'value="([^"]+)"', twiml)
        assert secret is not None
        phone = await service.stream(url, "CA1", {"token": secret[1]})
        await until(lambda: phone.connection.close_code)
        assert phone.connection.close_code == 1008
        await adapter.disconnect()


_STREAM = "wss://voice.example.test/twilio/stream"


async def _waiting(service: TwilioService) -> tuple[TwilioAgentAdapter, asyncio.Task[None]]:
    """An adapter that waits to be called."""
    adapter = _adapter(service, answer=True)
    connecting = asyncio.create_task(adapter.connect())
    await listening(adapter, service)
    await until(lambda: service.settings["voice_url"] != OLD_WEBHOOK)
    return adapter, connecting


async def test_a_request_that_somebody_sends_again_gets_no_secret_and_harms_no_call() -> None:
    async with twilio_service() as service:
        adapter, connecting = await _waiting(service)
        form = {"CallSid": "CA1", "From": OTHER, "To": NUMBER}
        _, twiml = await service.webhook("/twilio/voice", form)
        for _ in range(3):  # the same signature, which is as good as ever
            _, again = await service.webhook("/twilio/voice", form)
            assert '<Reject reason="rejected" />' in again
        await service._carry_out(twiml, "CA1")
        await connecting
        await adapter.disconnect()


async def test_a_second_caller_does_not_take_the_place_of_the_first() -> None:
    async with twilio_service() as service:
        adapter, connecting = await _waiting(service)
        _, twiml = await service.webhook("/twilio/voice", {"CallSid": "CA1", "From": OTHER, "To": NUMBER})
        _, second = await service.webhook("/twilio/voice", {"CallSid": "CA2", "From": "+14155550123", "To": NUMBER})
        assert '<Reject reason="busy" />' in second
        secret = re.search(r'value="([^"]+)"', twiml)
        assert secret is not None
        phone = await service.stream(_STREAM, "CA2", {"token": secret[1]})  # of another call
        await until(lambda: phone.connection.close_code)
        assert phone.connection.close_code == 1008
        await service._carry_out(twiml, "CA1")
        await connecting
        assert adapter.call_sid == "CA1"
        await adapter.disconnect()


async def test_a_status_of_another_call_does_not_end_the_one_that_is_placed() -> None:
    async with twilio_service() as service:
        adapter = _adapter(service, call_to=OTHER)
        connecting = asyncio.create_task(adapter.connect())
        await listening(adapter, service)
        for call in ("CA0", "CA7"):
            await service.webhook("/twilio/status", {"CallSid": call, "CallStatus": "completed", "To": OTHER})
        await connecting
        await adapter.disconnect()


async def test_only_so_many_sockets_may_be_about_to_begin() -> None:
    from websockets.asyncio.client import connect

    async with twilio_service() as service:
        adapter, connecting = await _waiting(service)
        address = f"ws://127.0.0.1:{service.port}/twilio/stream"
        silent = [await connect(address, compression=None) for _ in range(12)]
        await until(lambda: sum(item.close_code == 1013 for item in silent) == 4)
        for item in silent:
            await item.close()
        await service.call_in(OTHER)
        await connecting
        await adapter.disconnect()


async def test_only_so_many_connections_are_held() -> None:
    async with twilio_service() as service, _adapter(service) as adapter:
        service.port = adapter.http_port
        pairs = [await asyncio.open_connection("127.0.0.1", service.port) for _ in range(70)]

        assert (await service.raw(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"))[0] == 0
        await until(lambda: sum(reader.at_eof() or reader.exception() is not None for reader, _ in pairs) == 6)
        for _, writer in pairs:
            writer.close()
        await until(lambda: not adapter._line._server._connections)  # type: ignore[union-attr]
        assert (await service.raw(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"))[0] == 404


@pytest.mark.parametrize(
    "first", ["", "hello", "[]", '{"event":"media"}', '{"event":"start"}', '{"event":"start","start":7}']
)
async def test_streams_that_do_not_begin_as_twilios_do(first: str) -> None:
    from websockets.asyncio.client import connect

    async with twilio_service() as service:
        adapter = _adapter(service, answer=True)
        connecting = asyncio.create_task(adapter.connect())
        await listening(adapter, service)
        async with connect(f"ws://127.0.0.1:{adapter.http_port}/twilio/stream") as connection:
            await connection.send(first)
            assert await _refused(connection) == 1008
        connecting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await connecting
        await adapter.disconnect()


# --- what breaks ----------------------------------------------------------------------------------------------------


def _sound(seconds: float) -> list[str | bytes]:
    payload = b64encode(b"\x20" * 800).decode()
    return [json.dumps({"event": "media", "media": {"track": "inbound", "payload": payload}})] * round(seconds * 10)


@pytest.mark.parametrize("peer", CONVERSATIONS, ids=str)
async def test_broken_callers(peer: BrokenPeer) -> None:
    wire, playing = Wire(sound=_sound), Peer()
    before = asyncio.all_tasks()
    async with twilio_service() as service:
        adapter = await _called(service)
        phone = service.phone
        assert phone.reading is not None
        phone.reading.cancel()
        await asyncio.wait({phone.reading})
        phone.reading = None

        async def behave() -> None:
            try:
                await peer.behaves(phone.connection, wire, playing)  # type: ignore[misc]
            except ConnectionClosed:
                return

        behaving = asyncio.create_task(behave())
        await check_conversation(peer, adapter, playing)
        for _ in range(2):
            await adapter.disconnect()
        for act in (adapter.send_audio(silent_chunk(0.02)), adapter.receive(0)):
            with pytest.raises(VoiceConnectionError, match="TwilioAgentAdapter"):
                await act
        await behaving
        assert service.settings["voice_url"] == OLD_WEBHOOK
    await until(lambda: asyncio.all_tasks() <= before)


async def test_messages_of_another_shape_are_an_error_or_nothing() -> None:
    known = [
        {"event": "media", "media": {"track": "inbound", "payload": "////"}},
        {"event": "dtmf", "dtmf": {"digit": "1"}},
        {"event": "mark", "mark": {"name": "x"}},
    ]
    async with twilio_service() as service:
        for message in [text for each in known for text in odd_messages(each)][::5]:
            adapter = await _called(service)
            await service.phone.connection.send(message)
            await service.phone.hang_up()
            items, error = await everything_from(adapter)
            await adapter.disconnect()
            assert "does not keep to the protocol" in str(error) or isinstance(items[-1], CallEnded), message


@pytest.mark.parametrize(
    ("broken", "says"),
    [
        (Answer(status=401, body={"message": f"no {TOKEN}"}), "status 401; check the credentials"),
        (Answer(status=503, body=b"<html>"), "status 503"),
        (Answer(body=b"<html>"), "expected JSON"),
        (Answer(body=[]), "expected JSON"),
        (Answer(body={}), r"no number of the account|has no 'sid'"),
        (
            Answer(body={"sid": 7, "incoming_phone_numbers": [7, {}, {"sid": None}]}),
            r"no number of the account|has no 'sid'",
        ),
    ],
    ids=str,
)
@pytest.mark.parametrize("options", [{"call_to": OTHER}, {"answer": True}], ids=str)
async def test_an_api_that_breaks(broken: Answer, says: str, options: dict[str, Any]) -> None:
    async with twilio_service() as service:
        service.broken = broken
        adapter = _adapter(service, **options)
        for _ in range(2):
            with pytest.raises(VoiceConnectionError, match=f"TwilioAgentAdapter: .*({says})") as caught:
                await adapter.connect()
            assert TOKEN not in str(caught.value)
        await adapter.disconnect()


async def test_an_api_that_is_not_there() -> None:
    async with twilio_service() as service:
        adapter = _adapter(service, call_to=OTHER, api_url="http://127.0.0.1:9")
        with pytest.raises(VoiceConnectionError, match="TwilioAgentAdapter: could not place the call"):
            await adapter.connect()


async def test_disconnecting_while_it_connects() -> None:
    async with twilio_service() as service:
        adapter = _adapter(service, answer=True)
        connecting = asyncio.create_task(adapter.connect())
        await until(lambda: service.settings["voice_url"] != OLD_WEBHOOK)
        connecting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await connecting
        await adapter.disconnect()
        assert service.settings["voice_url"] == OLD_WEBHOOK


# --- what it says of itself -----------------------------------------------------------------------------------------


def test_what_it_can_do() -> None:
    adapter = duologue.TwilioAgentAdapter(account_sid=ACCOUNT, auth_token=TOKEN, phone_number=NUMBER)
    can = adapter.capabilities
    assert (can.streaming_transcripts, can.native_vad, can.dtmf, can.interruption) == (False, False, True, True)
    assert can.input_formats == can.output_formats == ("mulaw/8000",)
    shown = f"{adapter!r} {adapter.describe()} {adapter._settings!r}"
    assert repr(adapter) == "TwilioAgentAdapter('Twilio (+14155550100)')"
    assert TOKEN not in shown


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"account_sid": None}, "TWILIO_ACCOUNT_SID"),
        ({"auth_token": ""}, "TWILIO_AUTH_TOKEN"),
        ({"phone_number": None}, "TWILIO_PHONE_NUMBER"),
        ({"phone_number": "0041 44"}, "phone_number is '0041 44'; expected a number with its country"),
        ({"phone_number": "+0123456789"}, "phone_number"),
        ({"phone_number": "+141555501001234567"}, "phone_number"),
        ({"allowed_callers": [OTHER, "5550100"]}, "allowed_callers is '5550100'"),
        ({"call_to": "911"}, "call_to is '911'"),
        ({"call_to": OTHER}, "needs public_base_url"),
        ({"call_to": OTHER, "public_base_url": PUBLIC, "answer": True}, "exclude each other"),
        ({"public_base_url": "voice.example.test"}, "public_base_url"),
    ],
    ids=str,
)
def test_arguments_that_cannot_be_used(change: dict[str, Any], says: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("TWILIO_ACCOUNT_SID", "TWILIO_AUTH_TOKEN", "TWILIO_PHONE_NUMBER"):
        monkeypatch.delenv(name, raising=False)
    given: dict[str, Any] = {"account_sid": ACCOUNT, "auth_token": TOKEN, "phone_number": NUMBER}
    with pytest.raises(ConfigurationError, match=re.escape(says)):
        TwilioAgentAdapter(**{**given, **change})


async def test_placing_a_call_needs_a_number_and_an_address() -> None:
    adapter = TwilioAgentAdapter(account_sid=ACCOUNT, auth_token=TOKEN, phone_number=NUMBER)
    with pytest.raises(ConfigurationError, match="to is '911'"):
        await adapter.place_call("911")
    with pytest.raises(ConfigurationError, match="needs public_base_url"):
        await adapter.place_call(OTHER)
    await asyncio.wait_for(adapter.disconnect(), LONG)
