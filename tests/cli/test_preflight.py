"""What a suite lacks is told once, before the first case: exit code 2, and nobody was called."""

from __future__ import annotations

import json
import os
import socket
import threading
from collections.abc import Generator
from http.server import BaseHTTPRequestHandler, HTTPServer
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from duologue.cli.app import invoke
from duologue.errors import MissingExtraError
from duologue.models.resolve import forget_models
from duologue.suites.execution import preflight

AGENT = """
from pathlib import Path

def reply(input):
    Path(__file__).with_name("CALLED").touch()
    return "hello"
"""
USER = {"role": "simulated_user", "exchanges": 1}


def suite(**spec: Any) -> dict[str, Any]:
    """A suite whose Python agent works; its simulator and judge are mocks."""
    whole: dict[str, Any] = {
        "agents": [{"name": "bot", "target": "agent.py:reply"}],
        "simulators": [{"name": "sim", "model": "mock"}],
        "judges": [{"name": "referee", "model": "mock"}],
        "scenarios": [
            {
                "name": "hello",
                "trials": 6,
                "turns": [{"content": "Hello"}, USER],
                "criteria": ["The agent is polite."],
            }
        ],
        **spec,
    }
    return {"apiVersion": "duologue/v1", "kind": "Suite", "metadata": {"name": "shop"}, "spec": whole}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Generator[Path]:
    for name in list(os.environ):
        if name.endswith("_API_KEY") or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    forget_models()
    tmp_path.joinpath("agent.py").write_text(AGENT)
    tmp_path.joinpath("broken.py").write_text("def reply(:\n")
    tmp_path.joinpath("lacking.py").write_text("import a_package_that_nobody_has\ndef reply(input): ...\n")
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    forget_models()


def http(url: str) -> list[dict[str, Any]]:
    return [{"name": "web", "http": {"url": url}}]


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def python(target: str) -> list[dict[str, Any]]:
    return [{"name": "bot", "target": target}]


BROKEN: dict[str, tuple[dict[str, Any], str, int]] = {
    # what is wrong; words of the refusal; the exit code of validate
    "no key": ({"simulators": [{"name": "s", "model": "openai/gpt-5-mini"}]}, "OPENAI_API_KEY", 0),
    "no key of a judge": ({"judges": [{"name": "j", "model": "groq/llama"}]}, "GROQ_API_KEY", 0),
    "no extra": ({"simulators": [{"name": "s", "model": "anthropic/claude"}]}, "pip install 'duologue[anthropic]'", 0),
    "dead URL": ({"agents": "dead"}, "connection refused, nothing listens there", 0),
    "no variable of a header": (
        {
            "agents": [
                {"name": "web", "http": {"url": "http://127.0.0.1:9", "headers": {"X-Key": "k ${NO_SUCH_TOKEN}"}}}
            ]
        },
        "the environment variable NO_SUCH_TOKEN",
        0,
    ),
    "no variable of a URL": ({"agents": http("http://${NO_SUCH_HOST}/")}, "the environment variable NO_SUCH_HOST", 0),
    "model without its provider": (
        {"judges": [{"name": "j", "model": "gpt-5-mini"}]},
        "written as provider/model, such as openai/gpt-5-mini",
        2,
    ),
    "dead server of one's own": ({"judges": [{"name": "j", "model": "ollama/x"}]}, "the model 'ollama/x': no conn", 0),
    "dead server of one's own, described": (
        {"models": [{"name": "m", "provider": "ollama", "model": "x"}], "judges": [{"name": "j", "model": "m"}]},
        "the model 'm': no connection to http://127.0.0.1:",
        0,
    ),
    "URL without scheme": ({"agents": http("localhost:8123")}, "Is 'http://localhost:8123' meant?", 2),
    "missing function": ({"agents": python("agent.py:replyy")}, "did you mean 'reply'?", 2),
    "missing module": ({"agents": python("agnet:reply")}, "there is no module 'agnet'", 2),
    "code that needs a package": ({"agents": python("lacking.py:reply")}, "a_package_that_nobody_has", 0),
    "unknown format": ({"defaults": {"output": {"formats": ["htm"]}}}, "did you mean 'html'?", 2),
    "unknown format of a file": ({"defaults": {"output": {"files": {"junt": "x.xml"}}}}, "did you mean 'junit'?", 2),
    "bad file": ({"agents": python("broken.py:reply")}, "broken.py is no Python: line 1", 2),
    "wrong model name": ({"simulators": [{"name": "s", "model": "opnai/gpt-5"}]}, "Did you mean 'openai/gpt-5'", 2),
    "wrong name of a local model": ({"judges": [{"name": "j", "model": "local/nosuch"}]}, "no local model", 2),
    "no simulator": ({"simulators": []}, "add simulators, such as", 0),
    "no judge": ({"judges": []}, "add judges, such as", 0),
    "no key for a check": (
        {"checks": [{"type": "llm_judge", "params": {"criteria": "x", "model": "openai/gpt-5"}}]},
        "OPENAI_API_KEY",
        0,
    ),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_what_is_missing_is_one_refusal_and_nobody_was_called(
    kind: str, folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    spec, words, of_validate = BROKEN[kind]
    if kind == "no extra":
        monkeypatch.setattr(import_module("duologue.models.resolve"), "client_for", _lacks_the_extra)
    monkeypatch.setenv("OLLAMA_BASE_URL", f"http://127.0.0.1:{free_port()}")
    if spec.get("agents") == "dead":
        spec = {"agents": http(f"http://127.0.0.1:{free_port()}")}
    folder.joinpath("suite.yaml").write_text(json.dumps(suite(**spec), indent=1))

    code = invoke(["run", "suite.yaml", "--out", "out"])

    told = capsys.readouterr()
    assert code == 2
    assert told.err.count("Error: ") == 1 + (kind == "code that needs a package")
    assert words in " ".join(told.err.split())
    assert "suite.yaml:" in told.err
    assert not folder.joinpath("CALLED").exists()
    assert not folder.joinpath("out").exists()
    assert invoke(["validate", "suite.yaml"]) == of_validate
    if not kind.startswith("dead ") and kind != "code that needs a package":  # only running it would tell
        assert words in " ".join(capsys.readouterr().out.split())


def _lacks_the_extra(name: Any, _: Any) -> Any:
    raise MissingExtraError(f"the model '{name}'", "anthropic", "anthropic")


def test_everything_that_is_missing_is_in_one_refusal(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    dead = http(f"http://127.0.0.1:{free_port()}")
    spec = {
        "agents": [*python("agent.py:replyy"), *dead],
        "simulators": [{"name": "s", "model": "openai/x"}],
        "judges": [{"name": "j", "model": "opnai/x"}],
        "defaults": {"output": {"formats": ["htm"]}},
    }
    folder.joinpath("suite.yaml").write_text(json.dumps(suite(**spec), indent=1))

    assert invoke(["run", "suite.yaml", "--out", "out"]) == 2

    told = capsys.readouterr().err
    for words in ("no 'replyy'", "connection refused", "OPENAI_API_KEY", "'opnai/x'", "'htm'"):
        assert told.count(words) == 1


def test_mistakes_in_the_files_come_with_what_is_missing(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    spec = {"simulators": [{"name": "s", "model": "openai/x"}], "checks": [{"type": "contans", "params": {}}]}
    folder.joinpath("suite.yaml").write_text(json.dumps(suite(**spec), indent=1))

    assert invoke(["run", "suite.yaml"]) == 2

    told = capsys.readouterr().err
    assert "contans" in told
    assert "OPENAI_API_KEY" in told


def test_what_no_case_needs_is_not_missed(folder: Path) -> None:
    spec = {
        "agents": [*python("agent.py:reply"), *http("http://127.0.0.1:9")],
        "models": [{"name": "unused", "provider": "openai", "model": "x"}],
        "simulators": [],
        "judges": [{"name": "of nobody", "model": "vllm/x"}],
        "scenarios": [
            {
                "name": "hello",
                "turns": [{"content": "Hello"}],
                "checks": [{"type": "contains", "params": {"patterns": ["hello"]}}],
            }
        ],
    }
    folder.joinpath("suite.yaml").write_text(json.dumps(suite(**spec)))

    assert invoke(["run", "suite.yaml", "--agent", "bot", "--out", "out", "-q"]) == 0
    assert folder.joinpath("CALLED").exists()


def test_keys_and_models_that_the_code_of_an_agent_sets_count(folder: Path) -> None:
    set_ = "import os\nos.environ['OPENAI_API_KEY'] = 'sk-of-the-test'\n"
    folder.joinpath("keyed.py").write_text(set_ + AGENT)
    spec = {
        "agents": python("keyed.py:reply"),
        "simulators": [],
        "judges": [{"name": "j", "model": "openai/gpt-5-mini"}],
        "scenarios": [{"name": "hello", "turns": [{"content": "Hello"}]}],
        "checks": [{"type": "llm_judge", "params": {"criteria": "x"}, "when": {"any_tool_called": True}}],
    }
    folder.joinpath("suite.yaml").write_text(json.dumps(suite(**spec)))
    try:
        assert invoke(["run", "suite.yaml", "--out", "out", "-q"]) != 2
    finally:
        os.environ.pop("OPENAI_API_KEY", None)


def test_no_preflight_runs_the_suite_all_the_same(folder: Path) -> None:
    spec = {"agents": http(f"http://127.0.0.1:{free_port()}")}
    folder.joinpath("suite.yaml").write_text(json.dumps(suite(**spec)))

    assert invoke(["run", "suite.yaml", "--out", "out", "-q", "--no-preflight"]) == 3
    assert len(list(folder.glob("out/runs/*.json"))) == 6


class _Counting(BaseHTTPRequestHandler):
    requests: list[str] = []  # noqa: RUF012

    def do_POST(self) -> None:
        self.requests.append(self.path)
        self.send_response(500)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Nothing."""


def test_an_agent_that_is_there_is_dialled_and_not_called(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _Counting.requests.clear()
    with HTTPServer(("127.0.0.1", 0), _Counting) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            spec = {
                "agents": http(f"http://127.0.0.1:{server.server_port}"),
                "simulators": [{"name": "s", "model": "openai/x"}],
            }
            folder.joinpath("suite.yaml").write_text(json.dumps(suite(**spec)))
            assert invoke(["run", "suite.yaml", "--out", "out"]) == 2
        finally:
            server.shutdown()
            thread.join()
    told = capsys.readouterr().err
    assert "OPENAI_API_KEY" in told
    assert "no connection" not in told
    assert _Counting.requests == []


def test_a_server_that_accepts_nothing_is_given_up(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(preflight, "DIAL_SECONDS", 0.2)
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        waiting = [socket.socket() for _ in range(4)]
        for item in waiting:
            item.setblocking(False)
            item.connect_ex(full.getsockname())
        folder.joinpath("suite.yaml").write_text(
            json.dumps(suite(agents=http(f"http://127.0.0.1:{full.getsockname()[1]}")))
        )
        assert invoke(["run", "suite.yaml", "--out", "out"]) == 2
        for item in waiting:
            item.close()
    assert "nobody accepts a connection within 0.2 s" in " ".join(capsys.readouterr().err.split())


def test_an_address_behind_a_proxy_is_not_dialled(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{free_port()}")
    spec = {
        "agents": http("http://agent.invalid/"),
        "simulators": [],
        "judges": [],
        "scenarios": [{"name": "hi", "turns": [{"content": "Hello"}]}],
    }
    folder.joinpath("suite.yaml").write_text(json.dumps(suite(**spec)))

    assert invoke(["run", "suite.yaml", "--out", "out", "-q"]) == 3
