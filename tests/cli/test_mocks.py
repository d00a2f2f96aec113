"""``duologue mocks generate``: a suite that ran on models runs again on what they said, and comes to the same."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import sys
import threading
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from duologue.cli.app import invoke
from duologue.models.mock import ResponseFile

Json = dict[str, Any]

_PATH = Path(__file__).parents[1] / "fakes" / "openai_server.py"
_SPEC = importlib.util.spec_from_file_location("openai_server", _PATH)
assert _SPEC
assert _SPEC.loader
fakes: Any = sys.modules.get("openai_server") or importlib.util.module_from_spec(_SPEC)
if "openai_server" not in sys.modules:
    sys.modules["openai_server"] = fakes
    _SPEC.loader.exec_module(fakes)

SUITE = """
apiVersion: duologue/v1
kind: Suite
metadata: {name: shop}
spec:
  models:
    - {name: agent-model, provider: openai, model: agent, base_url: "${FAKE_URL}", credential: {api_key: none}}
    - {name: user-model, provider: openai, model: user, base_url: "${FAKE_URL}", credential: {api_key: none}}
    - {name: judge-model, provider: openai, model: judge, base_url: "${FAKE_URL}", credential: {api_key: none}}
  agents: [{name: bot, model: agent-model, prompt: support}]
  simulators: [{name: sim, model: user-model}]
  judges: [{name: referee, model: judge-model}]
  personas: [{name: calm, description: A calm person.}]
  prompts:
    - name: support
      system_template: You help.
      allowed_tools: [find_order]
      guardrails:
        - {type: content_excludes, params: {patterns: [secret]}, direction: output, message: I may not say that.}
  tools:
    - name: find_order
      description: Finds an order.
      input_schema: {type: object, properties: {number: {type: string}}, required: [number]}
      mock_template: '{"number": "{{.number}}", "status": "sent"}'
  scenarios:
    - name: order
      description: Somebody looks for an order.
      turns:
        - content: Where is 4711?
          checks: [{type: tools_called, params: {tools: [find_order]}}]
        - {role: simulated_user, persona: calm, exchanges: 1, max_exchanges: 5}
      criteria: [The order is found.]
      checks:
        - {type: llm_judge, params: {criteria: It is kind}, min_score: 0.2}
        - {type: llm_judge_session, params: {criteria: It is kind and brief}}
    - name: complaint
      description: Somebody complains.
      turns:
        - {role: simulated_user, persona: calm, exchanges: 2}
        - content: Tell me the secret.
        - content: What of order 0815?
      checks:
        - {type: guardrail_triggered, params: {validator_type: content_excludes}}
        - {type: content_includes_any, params: {patterns: [never said]}}
  defaults: {seed: 7, concurrency: 1}
"""


def answer(request: Json) -> Any:
    """What the models of the suite say; it depends on the whole conversation that they are shown."""
    if request["model"] == "user":
        return user_line(request["messages"])
    if request["model"] == "judge":
        return fakes.text(json.dumps(judgement(request)))
    last = request["messages"][-1]
    said = str(last["content"])
    if last["role"] == "tool":
        return fakes.text("It is on its way." if "sent" in said else said)
    if "0815" in said:
        return fakes.calls(("find_order", '{"number": 08'))
    if "4711" in said:
        return fakes.calls(("find_order", {"number": "4711"}), content="One moment.")
    return fakes.text("The secret is 42." if "secret" in said else f"I see: {said[:30]} … 0o17")


def user_line(messages: list[Json]) -> Any:
    asked = sum(message["role"] == "assistant" for message in messages)
    complains = "complains" in str(messages[0]["content"])
    if complains:
        return fakes.text(json.dumps({"message": f"Complaint {asked}", "done": False}))
    return fakes.text(json.dumps({"message": f"Line {asked}", "done": asked == 2, "reason": "gave_up"}))


def judgement(request: Json) -> Json:
    if "passed" in str(request.get("response_format")):
        brief = "It is kind and brief" in str(request["messages"])
        return {"reasoning": "so it is", "evidence": ["m2"], "score": 0.9 if brief else 0.3, "passed": brief}
    criteria = [{"id": "c1", "reason": "m4 says so", "evidence": ["m4"], "decision": "true"}]
    return {"criteria": criteria, "reasoning": "found", "verdict": "pass"}


@contextmanager
def serving() -> Generator[Any]:
    """The fake server in a thread of its own, because a command has an event loop of its own."""
    ready = threading.Event()
    held: Json = {}

    async def serve() -> None:
        async with fakes.openai_server() as server:
            server.default = answer
            held.update(server=server, loop=asyncio.get_running_loop(), over=asyncio.Event())
            ready.set()
            await held["over"].wait()

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    try:
        assert ready.wait(20)
        yield held["server"]
    finally:
        held["loop"].call_soon_threadsafe(held["over"].set)
        thread.join(20)


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "suite.yaml").write_text(SUITE)
    return tmp_path


def runs(folder: Path) -> list[Json]:
    index = json.loads((folder / "index.json").read_text())
    return [json.loads((folder / line["file"]).read_text()) for line in index["runs"]]


def told(folder: Path) -> list[Any]:
    """What must be the same: the words, and what came of the checks."""
    return [
        {
            "outcome": run["outcome"],
            "termination": run["termination"],
            "messages": [plain(item["message"]) for item in run["messages"]],
            "checks": [(check["name"], check["status"], check["score"]) for check in run["checks"]],
            "guardrails": [(item["type"], item["passed"], item["expected"]) for item in run["guardrails"]],
            "decisions": [(item["criterion"], item["decision"]) for item in run["decisions"]],
        }
        for run in runs(folder)
    ]


def plain(message: Json) -> Json:
    """The message with arguments as values: models write JSON with more or fewer spaces."""
    calls: list[Json] = message.get("tool_calls") or []
    for call in calls:
        text: str = call["function"]["arguments"]
        call["function"]["arguments"] = json.loads(text) if text.endswith("}") else text
    return message


def test_a_suite_that_ran_on_models_runs_again_on_what_they_said(
    shop: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with serving() as server:
        monkeypatch.setenv("FAKE_URL", server.url)
        assert invoke(["run", "suite.yaml", "--out", "first", "-q"]) == 1
        assert invoke(["mocks", "generate", "first", "-o", "made/mocks.yaml"]) == 0
        asked = len(server.requests)
        captured = capsys.readouterr()
        assert "2 runs: wrote made/mocks.yaml" in captured.out
        assert "warning" not in captured.err
        assert invoke(["run", "suite.yaml", "--mock", "made/mocks.yaml", "--out", "again", "-q"]) == 1
        assert len(server.requests) == asked > 5
    first, again = told(shop / "first"), told(shop / "again")
    assert again == first
    order, complaint = first
    assert [(status, score) for _, status, score in order["checks"] if score in {0.3, 0.9}] == [
        ("failed", 0.3),
        ("passed", 0.9),
    ]
    assert [message["role"] for message in order["messages"]].count("user") == 3  # the user went before the fifth
    assert complaint["outcome"] == "fail"
    said = [message["content"] for message in complaint["messages"]]
    assert said[5] == "I may not say that."
    assert "args_invalid" in said[-1]


def test_results_without_journals_and_single_journals_will_do(
    shop: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with serving() as server:
        monkeypatch.setenv("FAKE_URL", server.url)
        invoke(["run", "suite.yaml", "--out", "first", "-q"])
    journals = sorted((shop / "first/journals").iterdir())
    capsys.readouterr()
    assert invoke(["mocks", "generate", "first"]) == 0
    whole = capsys.readouterr().out
    assert invoke(["mocks", "generate", *(map(str, reversed(journals)))]) == 0
    assert sorted(capsys.readouterr().out.splitlines()) == sorted(whole.splitlines())
    for path in journals:
        path.unlink()
    invoke(["mocks", "generate", "first", "-o", "bare.yaml"])
    found = ResponseFile.read("bare.yaml").answer("complaint", 3)
    assert found
    assert found.text == "I may not say that."  # what the model had said is in journals only


def test_runs_are_chosen_and_a_file_is_gone_on_with(
    shop: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with serving() as server:
        monkeypatch.setenv("FAKE_URL", server.url)
        invoke(["run", "suite.yaml", "--out", "first", "-q"])
    (shop / "held.yaml").write_text("scenarios: {order: {turns: {2: By hand.}}}\n")
    asked = ["mocks", "generate", "first", "--scenario", "order", "--agent", "bot", "--merge", "held.yaml"]
    assert invoke([*asked, "--default-response", "Well.", "-o", "made.yaml"]) == 0
    assert "scenarios.order.turns.2: the file has another one, which is kept" in capsys.readouterr().err
    made = ResponseFile.read("made.yaml")
    assert list(made.scenarios) == ["order"]
    assert [made.answer("order", number) and made.answer("order", number).text for number in (1, 2, 3, 9)] == [  # pyright: ignore[reportOptionalMemberAccess]
        "One moment.",
        "By hand.",
        "I see: Line 1 … 0o17",
        "Well.",
    ]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nowhere"], "nowhere does not exist; expected the folder of an execution, or a journal"),
        (["empty"], "empty holds no runs"),
        (["done", "-o", "there.yaml"], "there.yaml already exists; choose another name, or overwrite it with --force"),
        (["done", "--scenario", "ordr"], "--scenario: there is no run of 'ordr'; did you mean 'order'?"),
        (["done", "--merge", "there.yaml"], "there.yaml:1:1"),
    ],
)
def test_what_cannot_be_done_is_said(
    shop: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], words: str
) -> None:
    (shop / "empty").mkdir()
    (shop / "there.yaml").write_text("nonsense: 1\n")
    invoke(["run", "suite.yaml", "--out", "done", "-q", "--mock-all"])
    capsys.readouterr()
    assert invoke(["mocks", "generate", *arguments]) == 2
    assert words in capsys.readouterr().err


def test_answers_that_nobody_will_ask_for_are_told(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (shop / "slip.yaml").write_text("defaultResponse: x\nscenarios:\n  oder: {defaultResponse: y}\n")
    invoke(["run", "suite.yaml", "--mock", "slip.yaml", "-q"])
    told = capsys.readouterr().err
    assert "slip.yaml:3:3: warning: scenarios.oder: no scenario is called 'oder'; did you mean 'order'?" in told
    text = SUITE.replace('provider: openai, model: agent, base_url: "${FAKE_URL}", credential: {api_key: none}', "X", 1)
    (shop / "own.yaml").write_text(text.replace("X", "provider: mock, model: m, mock_file: slip.yaml"))
    assert invoke(["validate", "own.yaml"]) == 0
    assert "no scenario is called 'oder'" in capsys.readouterr().out
    (shop / "slip.yaml").write_text("scenarios: {order: {turns: {0: x}}}\n")
    assert invoke(["run", "own.yaml"]) == 2
    assert "slip.yaml:1:29: scenarios.order.turns.0: found" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("answers", "personas", "turns", "warned"),
    [
        ("selfplay: {default: {turns: {1: hi}}}", "calm", True, ""),
        ("selfplay: {calm: {turns: {1: hi}}}", "calm", True, ""),
        ("selfplay: {calm: {default: hi}}", "calm", True, "did you mean 'defaultResponse'?"),
        ("selfplay: {default: {turns: {1: hi}}}", "calm", False, "the suite has no simulated users"),
        ("selfplay: {default: {turns: {1: hi}}}", "lines", True, "each has lines or an agenda of its own"),
        ("selfplay: {lines: {turns: {1: hi}}}", "lines, calm", True, "no model plays the persona 'lines'"),
        ("selfplay: {default: {turns: {1: hi}}}", "lines, calm", True, ""),
        ("selfplay: {clam: {turns: {1: hi}}}", "calm", True, "did you mean 'calm'?"),
    ],
)
def test_validate_says_which_answers_of_a_response_file_are_never_given(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    answers: str,
    personas: str,
    turns: bool,
    warned: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    turn = "{role: simulated_user, exchanges: 1}" if turns else "{content: hi}"
    Path("answers.yaml").write_text(answers)
    Path("suite.yaml").write_text(f"""
apiVersion: duologue/v1
kind: Suite
metadata: {{name: shop}}
spec:
  agents: [{{name: bot, http: {{url: "http://127.0.0.1:1"}}}}]
  simulators: [{{name: sim, model: openai/gpt-5-mini}}]
  personas: [{{name: calm, description: Calm.}}, {{name: lines, description: Says lines., lines: [hello]}}]
  scenarios:
    - {{name: one, description: A talk., personas: [{personas}], turns: [{turn}],
       checks: [{{type: min_length, params: {{min_chars: 1}}}}]}}
""")
    assert invoke(["validate", "suite.yaml", "--mock", "answers.yaml"]) == 0
    shown = capsys.readouterr().out
    assert warned in shown
    assert ("never given" in shown or "no effect" in shown) is bool(warned)
