"""Placeholders in the request body of an agent with a format of its own."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

PLACEHOLDER = re.compile(r"\{\{\s*([\w.-]+)\s*\}\}")
NAMES = ("message", "messages", "history", "thread_id")
"""What a body can have placeholders for."""


def placeholders_in(body: Mapping[str, Any]) -> frozenset[str]:
    """The names of the placeholders in a body.

    Raises:
        ValueError: there is no such placeholder, or none for what the user says; the text says what is expected.
    """
    names = frozenset(PLACEHOLDER.findall(json.dumps(body, ensure_ascii=False, default=str)))
    if unknown := sorted(names.difference(NAMES)):
        known = ", ".join(f"{{{{{name}}}}}" for name in NAMES)
        raise ValueError(f"only the placeholders {known}; found '{{{{{unknown[0]}}}}}'")
    if names.isdisjoint(("message", "messages")):
        raise ValueError("{{message}} or {{messages}} where the user's words belong; found neither")
    return names
