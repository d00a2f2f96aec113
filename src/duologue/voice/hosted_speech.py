"""Speech of providers over HTTP, as their API references document it: OpenAI, ElevenLabs, Google, Cartesia, Deepgram.

Keys and addresses come from the environment: ``OPENAI_API_KEY`` and ``OPENAI_BASE_URL``, and so on for each.
"""

from __future__ import annotations

import base64
import binascii
import json
import secrets
from collections.abc import Awaitable, Callable, Mapping, Sequence
from itertools import count
from typing import Any, cast
from urllib.parse import quote, urlencode

from duologue.config.access import variables
from duologue.config.json_text import NoJsonError, json_value
from duologue.config.redaction import remember, without_values
from duologue.context import SystemClock
from duologue.errors import (
    MissingKeyError,
    ModelAnswerError,
    ModelError,
    ModelRateLimitError,
    ModelRejectedError,
    ModelTimeoutError,
    ModelUnavailableError,
)
from duologue.frozen import frozen
from duologue.http import HttpClients, HttpError, HttpRequest, HttpResponse, HttpTimeoutError, retry_after
from duologue.models.provider import RetryPolicy
from duologue.voice.audio import SAMPLE_RATE, AudioChunk, bytes_of, is_wav
from duologue.voice.files import decode_audio

_RETRY = RetryPolicy(attempts=3)
_SHOWN = 500
_CARTESIA_VERSION = "2025-04-16"
_LONGEST = 25 * 60.0
"""Seconds of a sound that OpenAI's transcription takes at once."""


@frozen
class _Host:
    """A provider.

    Attributes:
        name: that errors show.
        key: environment variable with the key.
        url_variable, url: where it is asked.
        header, prefix: how the key is sent.
    """

    name: str
    key: str
    url_variable: str
    url: str
    header: str = "Authorization"
    prefix: str = "Bearer "


_OPENAI = _Host(name="OpenAI", key="OPENAI_API_KEY", url_variable="OPENAI_BASE_URL", url="https://api.openai.com/v1")
_ELEVENLABS = _Host(
    name="ElevenLabs",
    key="ELEVENLABS_API_KEY",
    url_variable="ELEVENLABS_BASE_URL",
    url="https://api.elevenlabs.io",
    header="xi-api-key",
    prefix="",
)
_GOOGLE = _Host(
    name="Google",
    key="GOOGLE_API_KEY",
    url_variable="GOOGLE_TTS_BASE_URL",
    url="https://texttospeech.googleapis.com",
    header="X-Goog-Api-Key",
    prefix="",
)
_CARTESIA = _Host(
    name="Cartesia", key="CARTESIA_API_KEY", url_variable="CARTESIA_BASE_URL", url="https://api.cartesia.ai"
)
_DEEPGRAM = _Host(
    name="Deepgram",
    key="DEEPGRAM_API_KEY",
    url_variable="DEEPGRAM_BASE_URL",
    url="https://api.deepgram.com",
    prefix="Token ",
)
_http = HttpClients()


# Text to speech


async def _openai_voice(text: str, voice: str) -> bytes:
    body = {"model": "gpt-4o-mini-tts", "voice": voice, "input": text, "response_format": "pcm"}
    return _even(await _asked(_OPENAI, "/audio/speech", body=body))


async def _elevenlabs_voice(text: str, voice: str, key: str | None = None) -> bytes:
    path = f"/v1/text-to-speech/{quote(voice, safe='')}?output_format=pcm_{SAMPLE_RATE}"
    return _even(await _asked(_ELEVENLABS, path, body={"text": text, "model_id": "eleven_v3"}, key=key))


def elevenlabs_voice(voice: str, api_key: str | None = None) -> Callable[[str], Awaitable[AudioChunk]]:
    """A voice of ElevenLabs with a key of its own.

    Args:
        voice: its id.
        api_key: None for ``ELEVENLABS_API_KEY``.

    Returns:
        A function from a text to its sound.
    """

    async def say(text: str) -> AudioChunk:
        return AudioChunk(await _elevenlabs_voice(text, voice, api_key), transcript=text)

    return say


async def _google_voice(text: str, voice: str) -> bytes:
    body = {
        "input": {"text": text},
        "voice": {"languageCode": "-".join(voice.split("-")[:2]), "name": voice},
        "audioConfig": {"audioEncoding": "LINEAR16", "sampleRateHertz": SAMPLE_RATE},
    }
    answer = _json(_GOOGLE, await _asked(_GOOGLE, "/v1/text:synthesize", body=body))
    try:
        sound = base64.b64decode(str(answer["audioContent"]), validate=True)
    except (KeyError, binascii.Error, ValueError) as error:
        raise _no_answer(_GOOGLE, "audioContent is missing, or is not base64") from error
    return decode_audio(sound) if is_wav(sound) else _even(sound)


async def _cartesia_voice(text: str, voice: str) -> bytes:
    body = {
        "model_id": "sonic-2",
        "transcript": text,
        "voice": {"mode": "id", "id": voice},
        "output_format": {"container": "raw", "encoding": "pcm_s16le", "sample_rate": SAMPLE_RATE},
    }
    return _even(await _asked(_CARTESIA, "/tts/bytes", body=body, headers={"Cartesia-Version": _CARTESIA_VERSION}))


async def _deepgram_voice(text: str, voice: str) -> bytes:
    query = urlencode({"model": voice, "encoding": "linear16", "sample_rate": SAMPLE_RATE, "container": "none"})
    return _even(await _asked(_DEEPGRAM, f"/v1/speak?{query}", body={"text": text}))


VOICES: Mapping[str, Callable[[str, str], Awaitable[bytes]]] = {
    "cartesia": _cartesia_voice,
    "deepgram": _deepgram_voice,
    "elevenlabs": _elevenlabs_voice,
    "google": _google_voice,
    "openai": _openai_voice,
}
"""Providers of voices, by the first part of their names."""


# Speech to text


class OpenAISTTProvider:
    """OpenAI's transcription. Sounds of more than 25 minutes are sent in parts.

    Args:
        model: that recognises.
    """

    def __init__(self, model: str = "gpt-4o-transcribe") -> None:
        self.model = model

    async def transcribe(self, chunk: AudioChunk) -> str:
        """What is said."""
        size = bytes_of(_LONGEST)
        parts = [AudioChunk(chunk.data[at : at + size]) for at in range(0, len(chunk.data), size)]
        return " ".join([await self._part(part) for part in parts]).strip()

    async def _part(self, chunk: AudioChunk) -> str:
        fields = [("model", self.model), ("response_format", "json")]
        answer = _json(_OPENAI, await _uploaded(_OPENAI, "/audio/transcriptions", chunk, fields))
        return _text(_OPENAI, answer.get("text"), "text")


class ElevenLabsSTTProvider:
    """ElevenLabs' Scribe.

    Args:
        api_key: None for ``ELEVENLABS_API_KEY``.
        model: that recognises.
    """

    def __init__(self, api_key: str | None = None, model: str = "scribe_v1") -> None:
        self._key = api_key
        self.model = model

    async def transcribe(self, chunk: AudioChunk) -> str:
        """What is said."""
        sent = _uploaded(_ELEVENLABS, "/v1/speech-to-text", chunk, [("model_id", self.model)], key=self._key)
        return _text(_ELEVENLABS, _json(_ELEVENLABS, await sent).get("text"), "text")


class DeepgramSTTProvider:
    """Deepgram.

    Args:
        api_key: None for ``DEEPGRAM_API_KEY``.
        model: that recognises.
    """

    def __init__(self, api_key: str | None = None, model: str = "nova-3") -> None:
        self._key = api_key
        self.model = model

    async def transcribe(self, chunk: AudioChunk) -> str:
        """What is said."""
        path = f"/v1/listen?{urlencode({'model': self.model, 'smart_format': 'true'})}"
        headers = {"Content-Type": "audio/wav"}
        answer = _json(_DEEPGRAM, await _asked(_DEEPGRAM, path, content=chunk.wav(), headers=headers, key=self._key))
        try:
            said: Any = answer["results"]["channels"][0]["alternatives"][0]["transcript"]
        except (KeyError, IndexError, TypeError) as error:
            raise _no_answer(_DEEPGRAM, "results.channels[0].alternatives[0].transcript is missing") from error
        return _text(_DEEPGRAM, said, "transcript")


RECOGNISERS: Mapping[str, type[OpenAISTTProvider | ElevenLabsSTTProvider | DeepgramSTTProvider]] = {
    "deepgram": DeepgramSTTProvider,
    "elevenlabs": ElevenLabsSTTProvider,
    "openai": OpenAISTTProvider,
}
"""Providers of speech to text, by their names."""


# Requests


async def _uploaded(
    host: _Host, path: str, chunk: AudioChunk, fields: Sequence[tuple[str, str]], *, key: str | None = None
) -> bytes:
    """Send a sound as a file of a form."""
    boundary = secrets.token_hex(16)
    parts = [
        f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()
        for name, value in fields
    ]
    parts.append(
        f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="audio.wav"\r\n'
        "Content-Type: audio/wav\r\n\r\n".encode()
    )
    content = b"".join((*parts, chunk.wav(), f"\r\n--{boundary}--\r\n".encode()))
    headers = {"Content-Type": f"multipart/form-data; boundary={boundary}"}
    return await _asked(host, path, content=content, headers=headers, key=key)


async def _asked(
    host: _Host,
    path: str,
    *,
    body: object = None,
    content: bytes | None = None,
    headers: Mapping[str, str] | None = None,
    key: str | None = None,
) -> bytes:
    """The body of an answer. Rate limits and outages are tried again; the caller limits the time."""
    secret = key or variables().get(host.key)
    if not secret:
        raise MissingKeyError(f"{host.name} needs a key: set the environment variable {host.key}")
    remember(secret)
    request = HttpRequest(
        url=(variables().get(host.url_variable) or host.url).rstrip("/") + path,
        headers={host.header: f"{host.prefix}{secret}", **(headers or {})},
        json=body,
        content=content,
    )
    clock, chance = SystemClock(), secrets.SystemRandom()
    for sent in count(1):
        try:
            return await _once(host, request, secret, clock)
        except (ModelRateLimitError, ModelUnavailableError) as error:
            wait = _RETRY.wait(sent, error.retry_after, chance)
            if wait is None:
                raise
            await clock.sleep(wait)
    raise AssertionError("the last attempt returns or raises")


async def _once(host: _Host, request: HttpRequest, secret: str, clock: SystemClock) -> bytes:
    try:
        async with _http.send(request) as response:
            if response.ok:
                return await response.read()
            raise await _refused(host, response, secret, clock.now())
    except HttpTimeoutError as error:
        raise ModelTimeoutError(f"{host.name} did not answer in time: {error}", model=host.name) from error
    except HttpError as error:
        raise ModelUnavailableError(f"{host.name} cannot be reached: {error}", model=host.name) from error


async def _refused(host: _Host, response: HttpResponse, secret: str, now: float) -> ModelError:
    body = without_values(await response.excerpt(_SHOWN), [secret])[:_SHOWN]
    told = f"{host.name} answered {response.status}: {body or 'no body'}"
    if response.status == 429:
        return ModelRateLimitError(told, model=host.name, retry_after=retry_after(response.headers, now))
    if response.status >= 500:
        return ModelUnavailableError(told, model=host.name, retry_after=retry_after(response.headers, now))
    if response.status in {401, 403}:
        told = f"{told}; is {host.key} right?"
    return ModelRejectedError(told, model=host.name)


def _json(host: _Host, body: bytes) -> dict[str, Any]:
    try:
        answer = json_value(body.decode("utf-8", "replace"))
    except (NoJsonError, json.JSONDecodeError) as error:
        raise _no_answer(host, f"it is not JSON: {error}") from error
    if not isinstance(answer, dict):
        raise _no_answer(host, f"expected an object, found {type(answer).__name__}")
    return cast("dict[str, Any]", answer)


def _text(host: _Host, value: object, field: str) -> str:
    if not isinstance(value, str):
        raise _no_answer(host, f"{field} is not a text")
    return value


def _even(sound: bytes) -> bytes:
    """Samples that are whole: a stream may end within one."""
    return sound[: len(sound) // 2 * 2]


def _no_answer(host: _Host, why: str) -> ModelAnswerError:
    return ModelAnswerError(f"the answer of {host.name} cannot be understood: {why}", model=host.name)
