"""Voice agents behind a WebSocket with a protocol of one's own."""

from __future__ import annotations

import pytest
from broken_peers import BROKEN_PEERS, BrokenPeer, Wire, check

from duologue.voice.adapters.websocket import SocketMessage, WebSocketAgentAdapter, WebSocketProtocol
from duologue.voice.audio import AudioChunk, silent_chunk


class _Raw(WebSocketProtocol):
    """Sound is binary as it is; text is none of its messages."""

    def encode_audio(self, chunk: AudioChunk) -> bytes:
        return chunk.data

    def decode_response(self, message: SocketMessage) -> AudioChunk:
        if isinstance(message, str):
            raise ValueError("text")
        return AudioChunk(message)


_WIRE = Wire(
    sound=lambda seconds: [silent_chunk(0.1).data] * round(seconds * 10), takes_bytes=True, path="/talk?key=abc"
)


@pytest.mark.parametrize("peer", BROKEN_PEERS, ids=str)
async def test_broken_peers(peer: BrokenPeer) -> None:
    await check(peer, wire=_WIRE, make=lambda url: WebSocketAgentAdapter(url, _Raw()))
