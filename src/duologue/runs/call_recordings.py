"""A production call as a recording, like those that are read from files."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

from duologue.errors import SuiteError
from duologue.runs.store.calls import ProductionCall
from duologue.transcripts.documents import Document, Node
from duologue.transcripts.formats.retell import read_retell
from duologue.transcripts.formats.vapi import read_vapi
from duologue.transcripts.recording import Recording


def recording_of(call: ProductionCall) -> Recording:
    """The conversation of a call. Its ``error`` says why there is none.

    Args:
        call: with ``data``.
    """
    name = f"{call.platform}-{call.platform_call_id}"
    data = call.data or {}
    path = Path(f"{name}.json")
    read = read_retell
    if call.platform == "vapi":
        read = read_vapi
    elif call.platform == "elevenlabs":
        data = _as_retell(call.platform_call_id, data)
    root = Node(data, str(path))
    try:
        [found] = read(Document(path=path, root=root))
    except SuiteError as error:
        found = Recording(path=path, format=call.platform, name=name, error=error)
    return replace(found, name=name, format=call.platform, session_id=call.platform_call_id)


def _as_retell(call_id: str, data: Mapping[str, Any]) -> dict[str, Any]:
    """A conversation of ElevenLabs in the form of Retell, which has the same parts."""
    facts = _mapping(data.get("metadata"))
    began = facts.get("start_time_unix_secs")
    said: list[dict[str, Any]] = []
    for turn in map(_mapping, _list(data.get("transcript"))):
        at = turn.get("time_in_call_secs")
        role = "agent" if turn.get("role") == "agent" else "user"
        if isinstance(text := turn.get("message"), str) and text:
            words = [{"word": text, "start": at, "end": at}] if isinstance(at, int | float) else []
            said.append({"role": role, "content": text, "words": words})
        for call in map(_mapping, _list(turn.get("tool_calls"))):
            arguments = call.get("params_as_json")
            said.append(
                {
                    "role": "tool_call_invocation",
                    "tool_call_id": call.get("request_id"),
                    "name": call.get("tool_name"),
                    "arguments": arguments if isinstance(arguments, str) else json.dumps(arguments or {}),
                }
            )
        said += [
            {
                "role": "tool_call_result",
                "tool_call_id": result.get("request_id"),
                "content": result.get("result_value"),
                "successful": result.get("is_error") is not True,
            }
            for result in map(_mapping, _list(turn.get("tool_results")))
        ]
    return {
        "call_id": call_id,
        "agent_id": data.get("agent_id"),
        "call_status": data.get("status"),
        "start_timestamp": began * 1000 if isinstance(began, int | float) else None,
        "transcript_with_tool_calls": said,
    }


def _mapping(value: object) -> Mapping[str, Any]:
    return cast("Mapping[str, Any]", value) if isinstance(value, dict) else {}


def _list(value: object) -> list[Any]:
    return cast("list[Any]", value) if isinstance(value, list) else []
