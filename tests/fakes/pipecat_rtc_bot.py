"""A Pipecat bot behind SmallWebRTC, which says what it has heard, and stops when it is talked over.

Run by the Python of an environment that has ``pipecat-ai[webrtc]``, ``fastapi`` and ``uvicorn``; prints its port. What
it hears of the user is found by how loud it is, so that it needs no model.
"""

from __future__ import annotations

import asyncio
import sys

import numpy as np
import uvicorn
from fastapi import FastAPI
from loguru import logger
from pipecat.frames.frames import (
    Frame,
    InputAudioRawFrame,
    TTSAudioRawFrame,
    TTSStartedFrame,
    TTSStoppedFrame,
    TTSTextFrame,
    UserStartedSpeakingFrame,
    UserStoppedSpeakingFrame,
)
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineParams, PipelineWorker
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor
from pipecat.transports.base_transport import TransportParams
from pipecat.transports.smallwebrtc.connection import SmallWebRTCConnection
from pipecat.transports.smallwebrtc.request_handler import SmallWebRTCRequest, SmallWebRTCRequestHandler
from pipecat.transports.smallwebrtc.transport import SmallWebRTCTransport
from pipecat.workers.runner import WorkerRunner

LOUD = 500
PAUSE = 0.4


class Parrot(FrameProcessor):
    """Says what it has heard, three times over, word by word."""

    def __init__(self) -> None:
        super().__init__()
        self._heard = b""
        self._quiet = 0.0
        self._speaking = False

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        if not isinstance(frame, InputAudioRawFrame):
            await self.push_frame(frame, direction)
            return
        loud = np.abs(np.frombuffer(frame.audio, dtype="<i2")).max() > LOUD
        self._quiet = 0.0 if loud else self._quiet + len(frame.audio) / (2 * frame.sample_rate)
        if loud and not self._speaking:
            self._speaking, self._heard = True, b""
            await self.broadcast_frame(UserStartedSpeakingFrame)
            await self.broadcast_interruption()
        if self._speaking:
            self._heard += frame.audio
            if self._quiet >= PAUSE:
                self._speaking = False
                await self.broadcast_frame(UserStoppedSpeakingFrame)
                await self._say(self._heard, frame.sample_rate)

    async def _say(self, sound: bytes, rate: int) -> None:
        await self.push_frame(TTSStartedFrame())
        for word in ("once", "twice", "thrice"):
            await self.push_frame(TTSTextFrame(text=word, text_type="word"))
            await self.push_frame(TTSAudioRawFrame(audio=sound, sample_rate=rate, num_channels=1))
        await self.push_frame(TTSStoppedFrame())


async def talk(connection: SmallWebRTCConnection) -> None:
    params = TransportParams(
        audio_in_enabled=True, audio_out_enabled=True, audio_in_sample_rate=24_000, audio_out_sample_rate=24_000
    )
    transport = SmallWebRTCTransport(webrtc_connection=connection, params=params)
    worker = PipelineWorker(Pipeline([transport.input(), Parrot(), transport.output()]), params=PipelineParams())

    @transport.event_handler("on_client_disconnected")
    async def gone(transport: SmallWebRTCTransport, client: object) -> None:
        await worker.cancel()

    runner = WorkerRunner(handle_sigint=False)
    await runner.add_workers(worker)
    await runner.run()


async def main() -> None:
    logger.remove()
    logger.add(sys.stderr, level="WARNING")
    app, handler = FastAPI(), SmallWebRTCRequestHandler()
    talks: set[asyncio.Task[None]] = set()

    async def begin(connection: SmallWebRTCConnection) -> None:
        talks.add(asyncio.create_task(talk(connection)))

    @app.post("/api/offer")
    async def offer(body: dict) -> dict:
        return await handler.handle_web_request(SmallWebRTCRequest.from_dict(body), begin)

    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="warning"))
    serving = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.01)
    print(server.servers[0].sockets[0].getsockname()[1], flush=True)
    await serving


if __name__ == "__main__":
    asyncio.run(main())
