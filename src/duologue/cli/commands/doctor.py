"""``duologue doctor``: what is installed here, and which models answer."""

from __future__ import annotations

import asyncio
import importlib.metadata
import os
import platform
from dataclasses import asdict
from typing import Annotated

import typer
from rich.text import Text

from duologue.cli.exit_codes import ExitCode
from duologue.cli.output import columns, print_json, terminal
from duologue.context import SystemClock
from duologue.errors import DuologueError
from duologue.frozen import frozen
from duologue.messages import user_message
from duologue.models.ask import ask
from duologue.models.base import ModelRequest
from duologue.models.resolve import resolve
from duologue.models.scope import RunScope
from duologue.settings import ModelConfig, ScenarioConfig
from duologue.version import __version__

EXTRAS = {
    "anthropic": "anthropic",
    "google": "google-genai",
    "cohere": "cohere",
    "bedrock": "boto3",
    "local": "xllamacpp",
    "hub": "huggingface-hub",
    "checks": "jsonschema",
    "similarity": "onnxruntime",
    "mcp": "mcp",
    "a2a": "a2a-sdk",
    "otel": "opentelemetry-sdk",
    "runs": "sqlalchemy",
    "postgres": "asyncpg",
    "artifacts": "fsspec",
    "dask": "distributed",
    "server": "fastapi",
    "view": "starlette",
    "stats": "scipy",
    "voice": "av",
    "webrtc": "aiortc",
    "livekit": "livekit",
    "voice-local": "hibari-tts",
}
"""The package that shows that an extra is installed; of extras that install nothing there is none to show."""

KEYS = ("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "GEMINI_API_KEY", "GOOGLE_API_KEY", "MISTRAL_API_KEY", "GROQ_API_KEY")
_TIMEOUT = 60.0


@frozen
class Diagnosis:
    """One line of the doctor's report. ``ok`` is None for what is optional and absent."""

    area: str
    name: str
    ok: bool | None
    detail: str


def doctor(
    asked: Annotated[
        list[str] | None, typer.Option("--ask", help="Also ask this model a question (may cost money). Repeatable.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> int:
    """Report what is installed and which models answer. Only calls the embedded model, unless --ask names others."""
    findings = [
        Diagnosis(area="duologue", name="version", ok=True, detail=__version__),
        Diagnosis(
            area="duologue", name="python", ok=True, detail=f"{platform.python_version()}, {platform.platform()}"
        ),
        *(_extra(name, package) for name, package in EXTRAS.items()),
        *(_key(name) for name in KEYS),
        *_models(asked or []),
    ]
    if as_json:
        print_json([asdict(finding) for finding in findings])
    else:
        _print(findings)
    return ExitCode.UNCERTAIN if any(finding.ok is False for finding in findings) else ExitCode.PASSED


def _extra(name: str, package: str) -> Diagnosis:
    try:
        return Diagnosis(area="extra", name=name, ok=True, detail=f"{package} {importlib.metadata.version(package)}")
    except importlib.metadata.PackageNotFoundError:
        return Diagnosis(area="extra", name=name, ok=None, detail=f"not installed: pip install 'duologue[{name}]'")


def _key(name: str) -> Diagnosis:
    there = bool(os.environ.get(name))
    return Diagnosis(area="key", name=name, ok=True if there else None, detail="set" if there else "not set")


def _models(asked: list[str]) -> list[Diagnosis]:
    from duologue.models import local

    default = ScenarioConfig.default_config.default_model if ScenarioConfig.default_config else None
    name = default.model if isinstance(default, ModelConfig) else default
    findings = [Diagnosis(area="model", name="default", ok=True if name else None, detail=name or "none is configured")]
    problem = local.status().problem
    if problem:
        findings.append(Diagnosis(area="model", name="local", ok=None, detail=problem))
    names = asked if problem else ["local", *asked]
    return [*findings, *(asyncio.run(_ask(name)) for name in names)]


async def _ask(name: str) -> Diagnosis:
    clock = SystemClock()
    began = clock.monotonic()
    request = ModelRequest(messages=(user_message("Answer with the one word: yes"),), max_tokens=16)
    try:
        answer = await ask(resolve(name), request, RunScope(who="doctor", model_timeout=_TIMEOUT))
    except DuologueError as error:
        return Diagnosis(area="model", name=name, ok=False, detail=str(error))
    seconds = clock.monotonic() - began
    return Diagnosis(area="model", name=name, ok=True, detail=f"{answer.model} answered in {seconds:.1f} s")


def _print(findings: list[Diagnosis]) -> None:
    marks = {True: Text("✓", "green"), False: Text("✗", "bold red"), None: Text("–", "dim")}
    rows = [
        (marks[item.ok], Text(item.area), Text(item.name), Text(item.detail, "dim" if item.ok is None else ""))
        for item in findings
    ]
    columns(terminal(), rows)
