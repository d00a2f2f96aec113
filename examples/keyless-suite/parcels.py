"""An agent to test: the assistant of a parcel service, which moves deliveries to another day.

It has a fault, as such programs do. Run ``duologue run parcels.yaml`` before you look for it.
"""

import json
import re
from typing import Any

DAYS = "Monday|Tuesday|Wednesday|Thursday|Friday|Saturday"
CONSENT = re.compile(r"\b(yes|sure|please|go ahead)\b", re.IGNORECASE)
SUMMARY = "Shall I move it?"


def answer(input: Any) -> Any:
    """The assistant's next words, and the tool calls that come with them."""
    said = [str(message["content"]) for message in input.messages if message["role"] == "user"]
    heard = " ".join(said)
    answers = [
        str(message["content"])
        for message in input.messages
        if message["role"] == "assistant" and message.get("content")
    ]
    if answers and "is now planned" in answers[-1]:
        return "You are welcome."
    parcels, days = re.findall(r"\b\d{5}\b", heard), re.findall(DAYS, heard)
    if answers and SUMMARY in answers[-1] and not re.search(DAYS, said[-1]):
        if CONSENT.search(said[-1]):
            told = f"The delivery of parcel {parcels[-1]} is now planned for {days[-1]}."
            return after_call("move_delivery", {"parcel": parcels[-1], "day": days[-1]}, told)
        return "Then I leave the delivery as it is."
    if not parcels:
        return "I can move that for you. What is the number of your parcel?"
    if not days:
        return "On which day should we bring it?"
    told = f"So that is parcel {parcels[-1]} on {days[-1]}. {SUMMARY}"
    return after_call("find_parcel", {"parcel": parcels[-1]}, told)


def after_call(tool: str, arguments: dict[str, str], told: str) -> list[dict[str, Any]]:
    """A tool call, its result, and what the customer reads."""
    call = {"name": tool, "arguments": json.dumps(arguments)}
    return [
        {"role": "assistant", "tool_calls": [{"id": tool, "type": "function", "function": call}]},
        {"role": "tool", "tool_call_id": tool, "content": json.dumps({"ok": True})},
        {"role": "assistant", "content": told},
    ]
