"""What a real recogniser hears of an agent with a real voice: the word error rate of a recording, from end to end."""

from __future__ import annotations

from pathlib import Path

import pytest
from voice_agents import AnsweringAgent

import duologue
import duologue.voice.checks  # registers them, also where the installed metadata is older
from duologue import checks
from duologue.journal.jsonl import read_journal
from duologue.runs.store.from_journals import run_of
from duologue.suites.results.voice_figures import voice_line
from duologue.voice import AudioChunk, WhisperSTTProvider, set_stt_provider, synthesize, transcribe_segments
from duologue.voice.incoming import AgentWords

pytestmark = pytest.mark.live

SAID = "Your order number four eight two is on its way to London."


class Caller(duologue.ScriptedUser):
    voice = "local/heart"


async def test_the_agents_sound_says_what_its_transcript_says(tmp_path: Path):
    pytest.importorskip("faster_whisper")
    pytest.importorskip("hibari")
    set_stt_provider(WhisperSTTProvider())
    try:
        sound = await synthesize(SAID, "local/heart")
        agent = AnsweringAgent([[AgentWords(text=SAID), AudioChunk(sound.data)]])
        result = await duologue.arun(
            "order",
            "A customer asks for an order.",
            [Caller(["Where is my order?"]), agent],
            script=[duologue.proceed(1), duologue.succeed()],
            checks=[
                checks.create("voice_accuracy", {"max_word_error_rate": 0.4, "words": ["London"]}),
                checks.create("voice_latency", {"max_p95": 1.0}),
            ],
            record=tmp_path / "run.jsonl",
            verbose=False,
        )
        assert [check.status for check in result.checks] == ["passed", "passed"], result.checks
        run = run_of(read_journal(tmp_path / "run.jsonl"))
        assert "word error rate" in voice_line(run)
        heard = await transcribe_segments(result.audio, only_missing=False)
        assert "order" in str(heard.silent[0].transcript).lower()
        assert "london" in str(heard.silent[-1].transcript).lower()
    finally:
        set_stt_provider(None)
