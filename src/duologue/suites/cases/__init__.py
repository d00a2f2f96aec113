"""Test cases that a language model writes: from an agent's prompt and tools, from conversations, by an instruction.

made = await generate_cases(choose("openai/gpt-5-mini"), AgentFacts(name="shop", prompt="You sell…"), count=20)
made.scenarios, made.personas
"""

from __future__ import annotations

from duologue.suites.cases.edit import EditedCase, edit_case
from duologue.suites.cases.facts import AgentFacts, ToolFacts, facts_of
from duologue.suites.cases.generate import MOST_CASES, GeneratedCases, case_from_conversation, generate_cases

__all__ = [
    "MOST_CASES",
    "AgentFacts",
    "EditedCase",
    "GeneratedCases",
    "ToolFacts",
    "case_from_conversation",
    "edit_case",
    "facts_of",
    "generate_cases",
]
