"""Every type of the catalogue: a conversation that passes, one that fails, and parameters that are refused."""

import base64
import io
import json
import struct
import sys
import wave
from typing import Any

import pytest

from duologue import checks
from duologue.errors import ConfigurationError
from duologue.journal.events import AgentCalled, ModelCalled, Noted, Usage
from duologue.journal.notes import GuardrailApplied, Note, WorkflowEntered, WorkflowMoved
from duologue.models.scripted import ScriptedModel
from duologue.vocabulary import CheckStatus, Scope
from duologue.voice.audio import AudioChunk
from duologue.voice.messages import create_audio_message
from duologue.voice.notes import SegmentHeard, SpeechRecognised, VoiceHappened
from duologue.voice.timeline import SpeechPurpose


def grader(passed: bool) -> checks.Resources:
    code = None if passed else "other"
    grade = {"reason": "r", "evidence": ["m2"], "applies": True, "passed": passed, "failure_code": code}
    return checks.Resources(judge=ScriptedModel([json.dumps({"metrics": {"task_completion": grade}})], repeat=True))


def judge(passed: bool, score: float | None = None) -> checks.Resources:
    value = float(passed) if score is None else score
    reply = {"reasoning": "because", "evidence": ["m1"], "score": value, "passed": passed}
    return checks.Resources(judge=ScriptedModel([json.dumps(reply)], repeat=True))


class Labels:
    def __init__(self, **labels: float) -> None:
        self.labels = labels

    async def classify(self, item: str | checks.Media) -> dict[str, float]:
        assert item
        return self.labels


def labels(task: str, **found: float) -> checks.Resources:
    return checks.Resources(classifiers={task: Labels(**found)})


class Axes:
    """Sunny texts point one way, all others the other."""

    name = "axes"

    async def embed(self, texts: Any) -> list[list[float]]:
        return [[1.0, 0.0] if "sun" in text else [0.0, 1.0] for text in texts]


async def run_tool(name: str, args: dict[str, Any]) -> str:
    return f"{name} {args.get('path')} ok"


CALLING = checks.Resources(run_tool=run_tool)


def png(width: int, height: int) -> str:
    head = b"\x89PNG\r\n\x1a\n" + struct.pack(">I4sIIBBBBB", 13, b"IHDR", width, height, 8, 2, 0, 0, 0)
    return "data:image/png;base64," + base64.b64encode(head).decode()


def wav(seconds: float) -> str:
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(8000)
        file.writeframes(b"\0\0" * int(8000 * seconds))
    return base64.b64encode(buffer.getvalue()).decode()


def mp4(width: int, height: int) -> str:
    def box(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I4s", 8 + len(body), name) + body

    track = box(b"tkhd", b"\0" * 76 + struct.pack(">II", width << 16, height << 16))
    data = box(b"ftyp", b"isom") + box(b"moov", box(b"trak", track))
    return "data:video/mp4;base64," + base64.b64encode(data).decode()


def sent(*parts: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": list(parts)}


IMAGE = sent({"type": "image_url", "image_url": {"url": png(640, 480)}})
SOUND = sent({"type": "input_audio", "input_audio": {"data": wav(2.0), "format": "wav"}})
FILM = sent({"type": "video_url", "video_url": {"url": mp4(1280, 720)}, "metadata": {"duration": 12.0}})
HELLO = ["u: hi", "a: Hello World, the refund is on its way."]
SEARCH = ("search", {"q": "shoes", "n": 3}, {"hits": 2})
BROKEN = ("search", {"q": "shoes"}, "Error: no connection")
BUY = ("buy", {"id": 7}, "bought")
TOOLS = ["u: hi", SEARCH, BUY, "a: done"]
AT_INTAKE = Noted(turn=0, note=WorkflowEntered(state="intake"))
CLOSED = Noted(turn=0, note=WorkflowMoved(origin="intake", target="closed", event="Resolve", terminal=True))
FLOW = ["u: hi", "a: hello", AT_INTAKE, CLOSED]
INTAKE = ["u: hi", ("lookup", {}, "ok"), "a: hello", AT_INTAKE]
BLOCKED = Noted(turn=0, note=GuardrailApplied(type="banned_words", passed=False))
SLOW = AgentCalled(participant=1, turn=0, delivered=[], seconds=0.5)
PAID = ModelCalled(
    asker="agent", turn=0, model="m", request_digest="d", usage=Usage(input_tokens=80, output_tokens=20), cost=0.01
)
SKILLS = ["u: hi", ("skill__activate", {"name": "pdf"}, "ok"), ("skill__activate", {"name": "xls"}, "ok")]
JUDGED = {"criteria": "polite"}
PYTHON_PASS = [sys.executable, "-c", "import json,sys; json.load(sys.stdin); print(json.dumps({'score': 1}))"]
PYTHON_FAIL = [sys.executable, "-c", 'print(\'{"score": 0.2, "detail": "poor"}\')']


def heard(*segments: tuple[str, float, float], keys: str = "", words: str = "one two three four five") -> list[Any]:
    """What was heard, as notes: an interruption by either where the times overlap."""
    notes: list[Note] = [
        SegmentHeard(speaker="user" if who == "u" else "agent", start=start, end=end, transcript=words)
        for who, start, end in segments
    ]
    notes += [VoiceHappened(time=1.0, type="dtmf", metadata={"by": "agent", "keys": key}) for key in keys]
    return ["u: hi", "a: hello", *(Noted(turn=0, note=note) for note in notes)]


QUICK = heard(("u", 0, 2), ("a", 2.4, 4.4))
SLOWLY = heard(("u", 0, 2), ("a", 6, 8))
UNANSWERED = heard(("u", 0, 2), ("u", 5, 6))
YIELDS = heard(("a", 0, 3.4), ("u", 3, 5), ("a", 6, 7))
GOES_ON = heard(("a", 0, 8), ("u", 3, 5), ("a", 9, 10))
MISUNDERSTOOD = Noted(turn=0, note=SpeechRecognised(message="m2", expected="one two", text="one too"))
SOUND_SAID = create_audio_message(AudioChunk(bytes(48_000)), "assistant", transcript="one two")
UNDERSTOOD = Noted(turn=0, note=SpeechRecognised(message="m2", expected="one two", text="One two."))
MHM = Noted(turn=0, note=SegmentHeard(speaker="user", start=2, end=2.3, purpose=SpeechPurpose.BACKCHANNEL))

# kind: (passing, failing, refused); passing and failing are (parameters, lines, resources).
TABLE: dict[str, tuple[Any, Any, Any]] = {
    "contains": (({"patterns": ["hello", "REFUND"]}, HELLO), ({"patterns": ["hello", "zzz"]}, HELLO), {"patterns": []}),
    "contains_any": (({"patterns": ["zzz", "hello"]}, HELLO), ({"patterns": ["zzz"]}, HELLO), {"patterns": "hello"}),
    "content_excludes": (({"patterns": ["zzz"]}, HELLO), ({"patterns": ["world"]}, HELLO), {"patterns": [""]}),
    "regex": (({"pattern": "(?i)HELLO"}, HELLO), ({"pattern": "^refund"}, HELLO), {"pattern": "("}),
    "min_length": (({"min": 5}, HELLO), ({"min_chars": 500}, HELLO), {"min": "5"}),
    "max_length": (({"max_characters": 100}, HELLO), ({"max_tokens": 2}, HELLO), {}),
    "sentence_count": (({"max": 1}, HELLO), ({"min": 2}, HELLO), {}),
    "field_presence": (({"fields": ["refund"]}, HELLO), ({"required_fields": ["zzz"]}, HELLO), {"field": ["refund"]}),
    "json_valid": (({}, ["u: x", "a: [1]"]), ({}, HELLO), {"allow_wraped": True}),
    "json_schema": (
        ({"schema": {"type": "object", "required": ["n"]}}, ["u: x", 'a: {"n": 1}']),
        ({"schema": {"type": "object", "required": ["n"]}}, ["u: x", 'a: {"m": 1}']),
        {"schema": {"type": "objekt"}},
    ),
    "json_path": (
        ({"expression": "a[0]", "expected": 5.0}, ["u: x", 'a: {"a": [5]}']),
        ({"jmespath_expression": "a", "min_results": 2}, ["u: x", 'a: {"a": [5]}']),
        {"expression": "$.a"},
    ),
    "commit": (
        ({"commit_fields": ["todo"]}, ["u: x", 'a: I will.\n```json\n{"commit": {"todo": 1}}\n```']),
        ({"fields": ["todo"]}, ["u: x", 'a: {"todo": 1} or so']),
        {"must_end_with_commit": "yes"},
    ),
    "tools_called": (({"tools": ["search", "buy"]}, TOOLS), ({"tools": ["search"]}, ["u: x", BROKEN]), {"tools": []}),
    "tools_not_called": (({"tools": ["zap"]}, TOOLS), ({"tool_names": ["search"]}, ["u: x", BROKEN]), {}),
    "tool_args": (
        ({"tool_name": "search", "expected_args": {"q": "shoes", "n": "3"}}, TOOLS),
        ({"tool_name": "search", "expected_args": {"q": "hats"}}, TOOLS),
        {"tool_name": "search"},
    ),
    "tool_calls_with_args": (
        ({"tool_name": "search", "args_match": {"q": "^sh"}, "result_includes": ["HITS"], "no_error": True}, TOOLS),
        ({"tool_name": "search", "expected_args": {"n": None}}, ["u: x", SEARCH, BROKEN]),
        {"tool_name": "search", "args_match": {"q": "("}},
    ),
    "tool_args_excluded": (
        ({"tool_name": "search", "forbidden_args": {"q": ["hats", "gloves"]}}, TOOLS),
        ({"tool_name": "search", "excluded_args": {"n": 3}}, TOOLS),
        {"tool_name": "search"},
    ),
    "tool_call_count": (({"min": 1, "max": 2}, TOOLS), ({"tool": "buy", "max": 0}, TOOLS), {"tool": "buy"}),
    "tool_call_sequence": (
        ({"sequence": ["search", "buy"]}, TOOLS),
        ({"sequence": ["buy", "search"]}, TOOLS),
        {"sequence": []},
    ),
    "tool_call_chain": (
        ({"steps": [{"tool": "search", "result_includes": ["hits"]}, {"tool": "buy", "no_error": True}]}, TOOLS),
        ({"steps": [{"tool": "search", "args_match": {"q": "hat"}}]}, TOOLS),
        {"steps": [{"tool": "search", "result": "x"}]},
    ),
    "tool_anti_pattern": (
        ({"patterns": [{"sequence": ["buy", "search"]}]}, TOOLS),
        ({"patterns": [{"sequence": ["search", "buy"], "message": "hasty"}]}, TOOLS),
        {"patterns": [["search", "buy"]]},
    ),
    "tool_no_repeat": (({}, TOOLS), ({}, ["u: x", SEARCH, BROKEN]), {"max_repeats": 0}),
    "tool_efficiency": (({"max_calls": 2}, TOOLS), ({"max_errors": 0}, ["u: x", BROKEN]), {}),
    "no_tool_errors": (({}, TOOLS), ({"tools": ["search"]}, ["u: x", BROKEN]), {"tool": "search"}),
    "tool_result_includes": (
        ({"tool": "search", "patterns": ["HITS"]}, TOOLS),
        ({"tool": "search", "patterns": ["hits"], "occurrence": 2}, TOOLS),
        {"tool": "search", "patterns": ["hits"], "occurrence": 0},
    ),
    "tool_result_matches": (
        ({"tool": "search", "pattern": r"\d"}, TOOLS),
        ({"tool": "buy", "pattern": r"\d"}, TOOLS),
        {"tool": "buy", "pattern": "["},
    ),
    "tool_result_has_media": (
        ({"tool": "shot", "media_type": "image"}, ["u: x", ("shot", {}, IMAGE["content"])]),
        ({"tool": "shot", "media_type": "audio"}, ["u: x", ("shot", {}, IMAGE["content"])]),
        {"tool": "shot", "media_type": "smell"},
    ),
    "tool_result_media_type": (
        ({"tool": "shot", "mime_type": "image/*"}, ["u: x", ("shot", {}, {"content": [{"mimeType": "image/png"}]})]),
        ({"tool": "shot", "media_type": "image/jpeg"}, ["u: x", ("shot", {}, IMAGE["content"])]),
        {"tool": "shot", "mime_type": "png"},
    ),
    "agent_invoked": (({"agents": ["search"]}, TOOLS), ({"agent_names": ["zap"]}, TOOLS), {"agent": "zap"}),
    "agent_not_invoked": (({"agents": ["zap"]}, TOOLS), ({"agents": ["buy"]}, TOOLS), {}),
    "agent_response_contains": (
        ({"agent": "buy", "contains": "bought"}, TOOLS),
        ({"agent": "buy", "contains": "BOUGHT"}, TOOLS),
        {"agent": "buy"},
    ),
    "skill_activated": (({"skill_names": ["pdf"]}, SKILLS), ({"skill_names": ["doc"]}, SKILLS), {"skill_names": "pdf"}),
    "skill_not_activated": (({"skill_names": ["doc"]}, SKILLS), ({"skill_names": ["pdf"]}, SKILLS), {}),
    "skill_activation_order": (
        ({"sequence": ["pdf", "xls"]}, SKILLS),
        ({"sequence": ["xls", "pdf"]}, SKILLS),
        {"order": ["pdf"]},
    ),
    "workflow_complete": (({}, FLOW), ({}, INTAKE), {"state": "x"}),
    "state_is": (({"state": "closed"}, FLOW), ({"state": "closed"}, INTAKE), {}),
    "transitioned_to": (({"state": "closed"}, FLOW), ({"state": "intake"}, INTAKE), {"state": ""}),
    "workflow_transition_order": (({"sequence": ["closed"]}, FLOW), ({"sequence": ["closed"]}, INTAKE), {}),
    "workflow_tool_access": (
        ({"rules": [{"state": "intake", "allowed": ["lookup"]}]}, INTAKE),
        ({"rules": [{"state": "intake", "allowed": []}]}, INTAKE),
        {"rules": [{"state": "intake"}]},
    ),
    "spoke_in_state": (({"state": "intake"}, FLOW), ({"state": "closed"}, FLOW), {}),
    "image_format": (({"formats": ["png"]}, [IMAGE]), ({"formats": ["jpg"]}, [IMAGE]), {"formats": []}),
    "audio_format": (({"formats": ["audio/wav"]}, [SOUND]), ({"formats": ["mp3"]}, [SOUND]), {}),
    "image_dimensions": (({"width": 640, "max_height": 480}, [IMAGE]), ({"min_width": 641}, [IMAGE]), {}),
    "video_resolution": (
        ({"presets": ["720p"]}, [FILM]),
        ({"presets": ["1080p", "4k"]}, [FILM]),
        {"presets": ["721p"]},
    ),
    "audio_duration": (({"min_seconds": 1.9, "max_seconds": 2.1}, [SOUND]), ({"max_seconds": 1}, [SOUND]), {}),
    "video_duration": (({"max_seconds": 12}, [FILM]), ({"min_seconds": 13}, [FILM]), {"seconds": 5}),
    "text_sentiment": (
        ({"expected_label": "glad", "min_score": 0.8}, HELLO, labels("text_sentiment", glad=0.9)),
        ({"expected_label": "glad"}, HELLO, labels("text_sentiment", sad=0.9)),
        {"label": "glad"},
    ),
    "text_toxicity": (
        ({"expected_label": "clean"}, HELLO, labels("text_toxicity", clean=0.6)),
        ({"expected_label": "clean"}, HELLO, labels("text_toxicity", rude=0.6)),
        {"expected_label": "clean", "message_role": "system"},
    ),
    "audio_emotion": (
        ({"expected_label": "calm"}, [SOUND], labels("audio_emotion", calm=0.6)),
        ({"expected_label": "calm"}, HELLO, labels("audio_emotion", calm=0.6)),
        {},
    ),
    "image_moderation": (
        ({"expected_label": "safe"}, [IMAGE], labels("image_moderation", safe=1)),
        ({"expected_label": "safe"}, [IMAGE], labels("image_moderation", nude=1)),
        {},
    ),
    "semantic_similarity": (
        ({"references": ["sun"], "min_similarity": 0.9}, ["u: x", "a: sunny"], checks.Resources(embedder=Axes())),
        ({"references": ["sun"], "min_similarity": 0.9}, ["u: x", "a: rain"], checks.Resources(embedder=Axes())),
        {"references": ["sun"]},
    ),
    "cosine_similarity": (
        ({"reference": [2.0, 0.0], "min_similarity": 0.9}, ["u: x", "a: sunny"], checks.Resources(embedder=Axes())),
        ({"reference": [2.0, 0.0], "min_similarity": 0.9}, ["u: x", "a: rain"], checks.Resources(embedder=Axes())),
        {"reference": "sun", "min_similarity": 0.9},
    ),
    "llm_judge": ((JUDGED, HELLO, judge(True)), (JUDGED, HELLO, judge(False)), {}),
    "llm_judge_session": ((JUDGED, HELLO, judge(True)), (JUDGED, HELLO, judge(False)), {"criteria": " "}),
    "llm_judge_tool_calls": ((JUDGED, TOOLS, judge(True)), (JUDGED, TOOLS, judge(False)), {}),
    "faithfulness": (({"context": "d"}, HELLO, judge(True)), ({"contexts": ["d"]}, HELLO, judge(False)), {"docs": []}),
    "hallucination": (({}, TOOLS, judge(True)), ({}, TOOLS, judge(False)), {"contexts": []}),
    "answer_relevancy": (({}, HELLO, judge(True)), ({}, HELLO, judge(False)), {"criteria": "x"}),
    "contextual_precision": (({}, TOOLS, judge(True)), ({}, TOOLS, judge(False)), {"query": "x"}),
    "contextual_relevancy": (({}, TOOLS, judge(True)), ({}, TOOLS, judge(False)), {"query": "x"}),
    "contextual_recall": (
        ({"expected_output": "x"}, TOOLS, judge(True)),
        ({"reference": "x"}, TOOLS, judge(False)),
        {},
    ),
    "bias": (({}, HELLO, judge(True)), ({}, HELLO, judge(False)), {"level": 3}),
    "toxicity": (({}, HELLO, judge(True)), ({}, HELLO, judge(False)), {"level": 3}),
    "role_violation": (({"agent_role": "x"}, HELLO, judge(True)), ({"agent_role": "x"}, HELLO, judge(False)), {}),
    "pii_leakage": (({}, HELLO), ({}, ["u: x", "a: write to ann@example.org"]), {"kinds": ["iban"]}),
    "rest_eval": (None, None, {"url": "ftp://x"}),
    "a2a_eval": (None, None, {}),
    "exec": (({"command": PYTHON_PASS}, HELLO), ({"command": PYTHON_FAIL}, HELLO), {"command": []}),
    "tool_exec": (
        ({"tool": "test", "args": {"path": "a"}, "success_pattern": "a ok"}, HELLO, CALLING),
        ({"tool": "test", "failure_pattern": "ok"}, HELLO, CALLING),
        {"tool": "test", "success_pattern": "("},
    ),
    "latency_budget": (({"max_ms": 500}, [*HELLO, SLOW]), ({"max_ms": 499}, [*HELLO, SLOW]), {"max_ms": 0}),
    "cost_budget": (({"max_cost_usd": 0.01}, [*HELLO, PAID]), ({"max_total_tokens": 99}, [*HELLO, PAID]), {}),
    "guardrail_triggered": (
        ({"validator": "banned_words"}, [*HELLO, BLOCKED]),
        ({"validator_type": "banned_words", "should_trigger": False}, [*HELLO, BLOCKED]),
        {"validator": "banned_wrods"},
    ),
    "invariant_fields_preserved": (
        ({"tool": "search", "fields": ["q"]}, ["u: x", SEARCH, BROKEN]),
        ({"tool": "search", "fields": ["n"]}, ["u: x", SEARCH, BROKEN]),
        {"tool": "search"},
    ),
    "metrics": (
        ({"metrics": {"task_completion": 1.0}}, HELLO, grader(True)),
        ({"metrics": {"task_completion": 1.0}}, HELLO, grader(False)),
        {"metrics": ["task_complete"]},
    ),
    "outcome_equivalent": (
        ({"metric": "tool_calls", "expected_tools": ["buy", "search"]}, TOOLS),
        ({"metric": "final_state", "expected_state": "intake"}, FLOW),
        {"metric": "content_hash"},
    ),
    "directional": (
        ({"check": "same_tool_calls", "baseline": {"tool_calls": ["search", "buy"]}}, TOOLS),
        ({"check": "similar_content", "baseline": {"content": "no such words"}}, HELLO),
        {"check": "same_tool_calls", "baseline": {"content": "x"}},
    ),
    "voice_latency": (({"max_p50": 0.5, "max_first": 0.5}, QUICK), ({"max_p95": 3}, SLOWLY), {}),
    "voice_response_rate": (({}, QUICK), ({"min_rate": 0.5}, UNANSWERED), {"min_rate": 2}),
    "voice_yield": (({"max_seconds": 0.5}, YIELDS), ({}, GOES_ON), {"max_seconds": 0}),
    "voice_interruptions": (({}, QUICK), ({}, heard(("u", 0, 4), ("a", 3, 5))), {"max_count": -1}),
    "voice_dead_air": (({}, QUICK), ({"max_seconds": 3.9}, SLOWLY), {"max_share": 2}),
    "voice_overlap": (({"max_seconds": 0.5}, YIELDS), ({"max_seconds": 0.3}, YIELDS), {}),
    "voice_talk_ratio": (({"min": 0.4, "max": 0.6}, QUICK), ({"max": 0.4}, QUICK), {"min": 0.6, "max": 0.4}),
    "voice_speech_rate": (({"min": 140, "max": 160}, QUICK), ({"max": 140}, QUICK), {}),
    "voice_selectivity": (
        ({}, [*heard(("a", 0, 5)), MHM]),
        ({}, [*heard(("a", 0, 2.5)), MHM]),
        {"min_rate": "all"},
    ),
    "voice_keys": (({"agent": "12#"}, heard(keys="0w12#")), ({"agent": "13"}, heard(keys="12#")), {"agent": "x"}),
    "voice_accuracy": (
        ({"max_word_error_rate": 0.1, "words": ["two"]}, ["u: hi", SOUND_SAID, UNDERSTOOD]),
        ({"max_word_error_rate": 0.4}, ["u: hi", SOUND_SAID, MISUNDERSTOOD]),
        {},
    ),
    "recorded_value": ((), (), {"min": 1, "equals": True}),
}  # fmt: skip


def test_the_table_covers_the_catalogue() -> None:
    own = [info.kind for info in checks.registered() if info.parameters.__module__.startswith("duologue.")]
    assert sorted(TABLE) == sorted(own)


@pytest.mark.parametrize(
    ("kind", "entry", "status"),
    [
        pytest.param(kind, row[place], status, id=f"{kind}-{status.value}")
        for kind, row in TABLE.items()
        for place, status in enumerate((CheckStatus.PASSED, CheckStatus.FAILED))
        if row[place]
    ],
)
async def test_type_decides(build: Any, kind: str, entry: Any, status: CheckStatus) -> None:
    params, lines, *rest = entry
    check = checks.create(kind, params, scope=Scope.CONVERSATION, resources=rest[0] if rest else None)
    outcome = await check.evaluate(build(*lines))
    assert (outcome.status, bool(outcome.explanation)) == (status, True), outcome
    assert outcome.score is not None
    assert 0 <= outcome.score <= 1
    json.dumps(outcome.details, default=str)


@pytest.mark.parametrize("kind", TABLE)
def test_type_refuses_wrong_parameters(kind: str) -> None:
    with pytest.raises(ConfigurationError, match=rf"^check '{kind}'"):
        checks.create(kind, TABLE[kind][2])


@pytest.mark.parametrize("kind", TABLE)
def test_type_refuses_an_unknown_parameter(kind: str) -> None:
    with pytest.raises(ConfigurationError, match=r"unknown parameter 'zzz' \(found 1\)"):
        checks.create(kind, {"zzz": 1})


NOT_JUDGED = [kind for kind, row in TABLE.items() if row[0] and not (len(row[0]) > 2 and row[0][2].judge)]


@pytest.mark.parametrize("kind", NOT_JUDGED)
async def test_nothing_at_all_passes_no_type_that_asks_for_something(build: Any, kind: str) -> None:
    may_pass = {
        "content_excludes",
        "max_length",
        "tools_not_called",
        "tool_args_excluded",
        "tool_call_count",
        "directional",
    }
    may_pass |= {"tool_anti_pattern", "tool_no_repeat", "tool_efficiency", "agent_not_invoked", "skill_not_activated"}
    may_pass |= {"pii_leakage", "sentence_count", "tool_exec", "exec"}
    params, _, *rest = TABLE[kind][0]
    check = checks.create(kind, params, scope=Scope.CONVERSATION, resources=rest[0] if rest else None)
    outcome = await check.evaluate(build())
    assert outcome.status is not CheckStatus.PASSED or kind in may_pass
