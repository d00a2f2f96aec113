"""``duologue probe``: asks an agent behind a URL two questions, says what it saw and writes a suite for it."""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import urlsplit, urlunsplit

import typer

from duologue.cli.exit_codes import ExitCode
from duologue.cli.output import print_json, say, terminal
from duologue.config.files import write_atomic
from duologue.config.redaction import names_secret, query_values
from duologue.config.templates import expand, expand_url
from duologue.errors import ConfigurationError
from duologue.terminal_text import one_line

if TYPE_CHECKING:
    from rich.console import Console

    from duologue.agents.http.probe import Exchange, Probe

_SHOWN = 200
"""Characters of an answer that are shown."""
_REFERENCE = re.compile(r"\$\{")


def probe(
    url: Annotated[str, typer.Argument(help="URL of the agent, or only its host.", metavar="URL")],
    header: Annotated[
        list[str] | None,
        typer.Option("--header", "-H", help="Header of every request, such as 'Authorization: Bearer ${TOKEN}'."),
    ] = None,
    preset: Annotated[
        str | None,
        typer.Option(help="Only one format: openai-chat, openai-responses, anthropic-messages, langgraph or message."),
    ] = None,
    model: Annotated[str | None, typer.Option(help="The model of requests, or the assistant of LangGraph.")] = None,
    first: Annotated[str | None, typer.Option("--say", help="What is said in the first turn.")] = None,
    second: Annotated[str | None, typer.Option("--then", help="What is asked in the second turn.")] = None,
    expected: Annotated[
        str | None, typer.Option("--expect", help="What only an agent says that knows the first turn.")
    ] = None,
    timeout: Annotated[float, typer.Option(help="Seconds for one answer.", min=0.1)] = 60.0,
    max_requests: Annotated[int, typer.Option(help="Requests that are sent at most.", min=2, max=100)] = 16,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    target: Annotated[Path | None, typer.Option("--write", help="Write a suite for this agent to this file.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite an existing file.")] = False,
) -> int:
    """Ask an agent behind a URL two questions, and report how it is called. --write makes a suite of it.

    Formats are tried one after the other, the likeliest first, until one works. The agent is really asked: use an
    endpoint where a question does no harm.
    """
    from duologue.agents.http.probe import Prober, Questions

    if target is not None and os.path.lexists(target) and not force:
        raise ConfigurationError(f"nothing asked: {target} exists already; choose another file or use --force")
    written = _headers(header or [])
    usual = Questions()
    questions = Questions(
        first=first or usual.first, second=second or usual.second, expected=expected or usual.expected
    )
    if (first or second) and not expected:
        raise ConfigurationError("--say and --then need --expect: what only an agent says that knows the first turn")
    prober = Prober(
        expand_url(url),
        headers={name: expand(value, secret=True) for name, value in written.items()},
        preset=preset,
        model=model,
        questions=questions,
        timeout=timeout,
        max_requests=max_requests,
    )
    found = asyncio.run(prober.probe())
    names = dict[str, str]()
    spec = _http_spec(found, url, written, model, names)
    text = _suite_text(found, spec)
    if target is not None:
        write_atomic(target, text)
    if as_json:
        print_json(_as_data(found, spec))
        return ExitCode.PASSED
    _show(terminal(), found, text, target, names)
    return ExitCode.PASSED


def _headers(lines: list[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for line in lines:
        name, colon, value = line.partition(":")
        if not colon or not name.strip():
            shown = one_line(line.split()[0]) if line.split() else ""
            raise ConfigurationError(f"--header must look like 'Name: value'; found one that begins '{shown[:20]}'")
        found[name.strip()] = value.strip()
    return found


# The suite


def _http_spec(
    found: Probe, url: str, headers: Mapping[str, str], model: str | None, names: dict[str, str]
) -> dict[str, Any]:
    """``http:`` of the agent. Secrets become variables; ``names`` gets what each of them stands for."""
    address = url if found.way.path is None else urlunsplit(urlsplit(url)._replace(path=found.way.path))
    spec: dict[str, Any] = {"url": _without_secrets(address, names)}
    if headers:
        spec["headers"] = {name: _as_variable(name, value, names) for name, value in headers.items()}
    if model:
        spec["model"] = model
    return {**spec, **found.way.options}


def _as_variable(name: str, value: str, names: dict[str, str]) -> str:
    if _REFERENCE.search(value) or not names_secret(name):
        return value
    scheme, space, secret = value.rpartition(" ")
    variable = "AGENT_TOKEN" if name.casefold() == "authorization" else re.sub(r"\W+", "_", name).upper()
    names[variable] = f"the header {name}"
    return f"{scheme}{space}${{{variable}}}" if secret else value


def _without_secrets(url: str, names: dict[str, str]) -> str:
    for name, value in query_values(urlsplit(url).query):
        if value and names_secret(name) and not _REFERENCE.search(value):
            variable = re.sub(r"\W+", "_", f"AGENT_{name}").upper()
            names[variable] = f"'{name}' of the URL"
            url = url.replace(f"{name}={value}", f"{name}=${{{variable}}}")
    return url


def _suite_text(found: Probe, spec: Mapping[str, Any]) -> str:
    """A suite with the two turns of the probe: a place to go on from."""
    from duologue.specs.suite import Suite
    from duologue.suites.manifests.writer import suite_text

    host = urlsplit(found.url).hostname or "agent"
    questions = found.questions
    recalls = {"type": "contains", "params": {"patterns": [questions.expected]}, "message": "knows the first turn"}
    answers = {"type": "min_length", "params": {"min_chars": 1}, "message": "answers"}
    last = recalls if found.remembers else answers
    suite = Suite.model_validate(
        {
            "name": host,
            "description": f"Rehearses the agent at {host}.",
            "agents": [{"name": "agent", "http": dict(spec)}],
            "scenarios": [
                {
                    "name": "two turns",
                    "description": "A user says something about themselves, and asks for it in the next turn.",
                    "turns": [
                        {"role": "user", "content": questions.first, "checks": [answers]},
                        {"role": "user", "content": questions.second, "checks": [last]},
                    ],
                }
            ],
        }
    )
    return suite_text(suite)


# What was seen


def _show(console: Console, found: Probe, suite: str, target: Path | None, names: Mapping[str, str]) -> None:
    for label, text in _facts(found):
        say(console, f"{label:<12}{one_line(text)}")
    say(console, "")
    for number, turn in enumerate(found.turns, 1):
        say(console, f"turn {number}, user:   {one_line(turn.said)}")
        say(console, f"turn {number}, agent:  {one_line(_shortened(turn.heard))}")
    if target is None:
        say(console, "\nThe suite for it (--write FILE writes it):\n")
        for line in suite.splitlines():
            say(console, f"  {line}" if line else "")
    else:
        say(console, f"\nwrote {one_line(target)}")
    for name, meaning in names.items():
        say(console, f"set the environment variable {name} to {meaning}; its value was not written", "dim")
    if target is not None:
        say(console, f"Run it:  duologue run {one_line(target)}")


def _facts(found: Probe) -> list[tuple[str, str]]:
    failed = len(found.tried)
    mixes = "; it also knew in a new conversation what was said in this one, so runs are not kept apart"
    tools = list(dict.fromkeys(name for turn in found.turns for name in turn.tools))
    shown = "every call is shown" if found.whole_turns else "whether every call is shown is not known"
    no_tools = "none seen" + ("; answers show them" if found.whole_turns else "; answers may not show them")
    return [
        ("endpoint", _shown_url(found.url)),
        ("format", _format(found)),
        ("memory", found.memory + (mixes if found.mixes else "")),
        ("tool calls", f"{', '.join(tools)} ({shown})" if tools else no_tools),
        ("usage", _usage(found)),
        ("latency", " and ".join(f"{turn.seconds:.2f} s" for turn in found.turns)),
        ("streaming", {True: "yes", False: "no", None: "not tried"}[found.streams]),
        ("requests", f"{found.requests} sent" + (f"; formats that did not work: {failed}" if failed else "")),
    ]


def _format(found: Probe) -> str:
    options = found.way.options
    if name := options.get("preset"):
        return f"preset {name}"
    where = f", the answer at '{options['answer']}'" if "answer" in options else ""
    return f"body {found.way.label}{where}"


def _usage(found: Probe) -> str:
    reported = [turn.usage for turn in found.turns if turn.usage is not None]
    if not reported:
        return "not reported; cost of the agent is unknown"
    total = sum((usage.input_tokens + usage.output_tokens) for usage in reported)
    model = reported[-1].model or "no model is named"
    price = "its price is known" if found.priced else "no price is known: see 'pricing'"
    return f"{total} tokens, {model}, {price}"


def _shown_url(url: str) -> str:
    parts = urlsplit(url)
    return urlunsplit(parts._replace(query="…" if parts.query else ""))


def _shortened(text: str) -> str:
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"


def _as_data(found: Probe, spec: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "http": dict(spec),
        "format": found.way.options.get("preset", "message"),
        "remembers": found.remembers,
        "memory": found.memory,
        "mixes_conversations": found.mixes,
        "streams": found.streams,
        "shows_whole_turns": found.whole_turns,
        "price_known": found.priced,
        "requests": found.requests,
        "turns": [_turn_as_data(turn) for turn in found.turns],
        "tried": [{"format": label, "reason": reason} for label, reason in found.tried],
    }


def _turn_as_data(turn: Exchange) -> dict[str, Any]:
    return asdict(turn)
