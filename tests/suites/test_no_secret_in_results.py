"""A suite with secrets everywhere, a server that repeats all that it is sent, and every output that there is."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

VALUES = {
    "K_MODEL": "sk-model-SEKRIT-1234",
    "K_HDR": 'hdr"SEKRIT\\5678',
    "K_URL": "urlSEKRIT/9999+z",
    "K_AGENT": "agent-SEKRIT-abcd1",
    "K_TOOL": "tool-SEKRIT-77zz",
    "K_EVAL": "eval-SEKRIT-66yy",
    "K_PATH": "path-SEKRIT-5555",
}
INLINE = "INLINE-SEKRIT-4444"
SUITE = """
apiVersion: duologue/v1
kind: Suite
metadata: {name: sec}
spec:
  models:
    - {name: m401, provider: openai, model: m, base_url: "URL/m401", credential: {api_key: "${K_MODEL}"}}
    - {name: m400, provider: openai, model: m, base_url: "URL/m400", credential: {api_key: "${K_MODEL}"},
       headers: {X-Extra: "${K_HDR}"}}
    - {name: mb64, provider: vllm, model: m, base_url: "URL/m400/b64", credential: {api_key: "${K_MODEL}"}}
    - {name: mt, provider: openai, model: m, base_url: "URL/tools", credential: {api_key: "${K_MODEL}"}}
  agents:
    - {name: a401, model: m401, prompt: p, group: g1}
    - {name: a400, model: m400, prompt: p, group: g1}
    - {name: ab64, model: mb64, prompt: p, group: g1}
    - {name: at, model: mt, prompt: pt, group: g1}
    - {name: h500, http: {url: "URL/500/${K_PATH}?token=${K_URL}", headers: &keys {Authorization: "Bearer ${K_AGENT}",
       X-Api-Key: "${K_HDR}"}}, group: g1}
    - {name: h64, http: {url: "URL/500/b64", headers: *keys}, group: g1}
    - {name: echo, http: {url: "URL/agent?token=${K_URL}", headers: *keys}, group: g2}
  prompts:
    - {name: p, system_template: hi}
    - {name: pt, system_template: hi, allowed_tools: [web, web500]}
  tools:
    - {name: web, description: d, mode: live, http: {url: "URL/tool?key=${K_URL}", headers: {X-Api-Key: "${K_HDR}"},
       headers_from_env: [Authorization=K_TOOL]}}
    - {name: web500, description: d, mode: live, http: {url: "URL/500", headers: {X-Api-Key: "${K_HDR}"},
       headers_from_env: [Authorization=K_TOOL]}}
  scenarios:
    - {name: s1, agent_group: g1, turns: [{role: user, content: hi}]}
    - {name: s2, agent_group: g2, turns: [{role: user, content: hi}], checks: [{type: rest_eval, params: {
       url: "URL/500/eval?api_key=INLINE&x=${K_URL}", headers: {Authorization: "Bearer ${K_EVAL}"}}}]}
"""


class _Echo(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        told = f"{self.path} {self.headers}"
        key = self.headers.get("authorization", "").split(" ")[-1]
        status, answer = 200, _completion(f"I was sent {told}")
        if "b64" in self.path:
            encoded = [base64.b64encode(f"{before}{key}".encode()).decode() for before in ("", "Bearer ", "a:")]
            status, answer = (
                500 if "500" in self.path else 400,
                {"error": {"message": f"{encoded} {quote(key)} {key.upper()}"}},
            )
        elif "401" in self.path:
            status, answer = 401, {"error": {"message": f"Incorrect API key provided: {key}. {told}"}}
        elif "400" in self.path:
            status, answer = 400, {"error": {"message": "long " * 85 + key, "headers": dict(self.headers)}}
        elif "500" in self.path:
            status, answer = 500, {"echo": told}
        elif "tools" in self.path and body["messages"][-1]["role"] != "tool":
            calls = [
                {
                    "id": f"c{number}",
                    "type": "function",
                    "function": {"name": tool["function"]["name"], "arguments": "{}"},
                }
                for number, tool in enumerate(body["tools"])
            ]
            answer = _completion(None, tool_calls=calls)
        elif "tools" in self.path:
            answer = _completion(str(body["messages"]))
        elif "tool" in self.path:
            answer = {"echo": told}
        data = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: Any) -> None: ...


def _completion(text: str | None, **more: Any) -> dict[str, Any]:
    return {
        "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": text, **more}}]
    }


@pytest.fixture
def echo() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Echo)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


def test_no_secret_is_in_any_output(echo: str, tmp_path: Path) -> None:
    (tmp_path / "s.suite.yaml").write_text(SUITE.replace("URL/", f"{echo}/").replace("=INLINE&", f"={INLINE}&"))
    out = tmp_path / "out"

    def duologue(*arguments: str) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "duologue", *arguments],
            cwd=tmp_path,
            env={**os.environ, **VALUES},
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        return done.stdout + done.stderr

    outputs = {"console": duologue("run", "s.suite.yaml", "--ci", "--out", "out", "--format", "json,html,md,junit")}
    assert "7 runs" in outputs["console"], outputs["console"]
    run = next(iter(sorted((out / "runs").glob("s1-h500*.json"))))
    outputs["show"] = duologue("show", str(run)) + duologue("show", str(run), "--events")
    files = {path: path.read_text(errors="replace") for path in out.rglob("*") if path.is_file()}
    assert {path.suffix for path in files} >= {".json", ".html", ".md", ".xml", ".jsonl"}
    words = [
        form for value in (*VALUES.values(), INLINE) for form in (value, quote(value, safe=""), json.dumps(value)[1:-1])
    ]
    words += [base64.b64encode(VALUES["K_MODEL"].encode()).decode()[:-4], "SEKRIT"]
    leaks = {
        str(where): word
        for where, text in {**outputs, **files}.items()
        for word in words
        if word.lower() in text.lower()
    }
    assert leaks == {}


PYTEST = """
import os, duologue, pytest

@pytest.mark.parametrize("mode", ["401", "400", "500", "b64-400", "b64-500"])
async def test_agent(mode):
    headers = {"Authorization": f"Bearer {os.environ['K_MODEL']}"}
    agent = duologue.HttpAgent(f"URL/{mode}/v1/chat/completions?key={os.environ['K_URL']}", headers=headers)
    script = [duologue.user("Hello?"), duologue.agent(), duologue.succeed()]
    await duologue.run("a", "b", [agent, duologue.ScriptedUser([])], script=script)
"""


@pytest.mark.parametrize("option", ["--tb=auto", "--tb=long", "--tb=native"])
def test_no_secret_is_in_what_pytest_writes(echo: str, tmp_path: Path, option: str) -> None:
    (tmp_path / "test_it.py").write_text(PYTEST.replace("URL/", f"{echo}/"))
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-p",
            "no:cacheprovider",
            "-o",
            "asyncio_mode=auto",
            "-rA",
            option,
            "--junitxml=junit.xml",
            "--duologue-record=recorded",
            "test_it.py",
        ],
        cwd=tmp_path,
        env={**os.environ, **VALUES, "CI": "1"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert "5 failed" in done.stdout, done.stdout + done.stderr
    assert "HTTP 401" in done.stdout
    files = {path.name: path.read_text(errors="replace") for path in tmp_path.rglob("*.[jx]*") if path.is_file()}
    assert {"junit.xml"} < files.keys()
    words = [form for value in VALUES.values() for form in (value, quote(value, safe=""), json.dumps(value)[1:-1])]
    words.append(base64.b64encode(VALUES["K_MODEL"].encode()).decode()[:-4])
    texts = {"console": done.stdout + done.stderr, **files}
    assert {name: word for name, text in texts.items() for word in words if word.lower() in text.lower()} == {}
