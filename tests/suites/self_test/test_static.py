"""Scenarios that cannot tell a good agent from a bad one, seen in what is written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from duologue.specs.suite import Suite
from duologue.suites.manifests.loader import load
from duologue.suites.self_test.static import lint
from duologue.suites.self_test.wording import (
    asks_only_for_manner,
    asks_only_to_refrain,
    problems_of_wording,
    refers_elsewhere,
)

EXAMPLES = Path(__file__).parents[3] / "examples"
TURNS = [{"content": "I would like to send back my shoes. My order is 4711."}]
BOT = {"name": "bot", "target": "bot.py:answer"}
NATIVE = {
    "agents": [{"name": "bot", "model": "gpt", "prompt": "shop"}],
    "models": [{"name": "gpt", "provider": "openai", "model": "gpt-5-mini"}],
    "prompts": [{"name": "shop", "system_template": "You help.", "allowed_tools": ["find_order"]}],
    "tools": [{"name": "find_order", "description": "Finds an order."}, {"name": "refund", "description": "Pays."}],
}

WITH_SCHEMA = {
    **NATIVE,
    "tools": [
        {
            "name": "find_order",
            "description": "Finds an order.",
            "input_schema": {"type": "object", "properties": {"pet": {"type": "string"}}},
        }
    ],
}


def with_arguments(parameter: str = "expected_args", **arguments: Any) -> dict[str, Any]:
    return {"type": "tool_args", "params": {"tool_name": "find_order", parameter: arguments}}


def contains(*patterns: str, **fields: Any) -> dict[str, Any]:
    return {"type": "contains", "params": {"patterns": list(patterns)}, **fields}


def excludes(*patterns: str, **fields: Any) -> dict[str, Any]:
    return {"type": "content_excludes", "params": {"patterns": list(patterns)}, **fields}


def called(*tools: str, **fields: Any) -> dict[str, Any]:
    return {"type": "tools_called", "params": {"tools": list(tools)}, **fields}


def kinds(scenario: dict[str, Any], **suite: Any) -> set[str]:
    whole = {"name": "s", "agents": [BOT], **suite, "scenarios": [{"name": "one", "turns": TURNS, **scenario}]}
    return {finding.kind for finding in lint(Suite.model_validate(whole))}


SIMULATED: dict[str, Any] = {"turns": [], "description": "The user wants to send back shoes."}
BAD: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    ("nothing-decides", {}, {}),
    ("nothing-decides", {**SIMULATED}, {}),
    # Ambiguous: no measure, no statement, open lists, placeholders.
    ("ambiguous", {"criteria": ["The agent responds appropriately."]}, {}),
    ("ambiguous", {"criteria": ["The assistant is helpful.", "The agent asks for the reason."]}, {}),
    ("ambiguous", {"criteria": ["The answer is good."]}, {}),
    ("ambiguous", {"criteria": ["The agent handles the return well."]}, {}),
    ("ambiguous", {"criteria": ["Did the agent offer a refund?"]}, {}),
    ("ambiguous", {"criteria": ["Politeness"]}, {}),
    ("ambiguous", {"criteria": ["The agent asks for name, address, etc."]}, {}),
    ("ambiguous", {"criteria": ["The agent offers a refund and/or a replacement."]}, {}),
    ("ambiguous", {"criteria": ["The agent names the fee of {{fee}}."]}, {}),
    ("ambiguous", {"criteria": ["The agent says TODO."]}, {}),
    ("ambiguous", {"criteria": ["The agent states the correct price."]}, {}),
    ("ambiguous", {"criteria": ["The agent gives details where necessary."]}, {}),
    ("ambiguous", {"success_criteria": "The agent solves the problem efficiently."}, {}),
    ("ambiguous", {"criteria": ["The agent gives a reasonable explanation to the user."]}, {}),
    # What no conversation shows.
    ("not-observable", {"criteria": ["The agent understands the problem."]}, {}),
    ("not-observable", {"criteria": ["The user is satisfied."]}, {}),
    ("not-observable", {"criteria": ["The customer feels respected."]}, {}),
    ("not-observable", {"criteria": ["The caller will come back."]}, {}),
    ("not-observable", {"criteria": ["The agent follows the company policy."]}, {}),
    ("not-observable", {"criteria": ["The answer complies with our guidelines."]}, {}),
    # Contradictions.
    ("contradiction", {"criteria": ["The agent offers a refund.", "The agent does not offer a refund."]}, {}),
    ("contradiction", {"criteria": ["The agent never asks for the card.", "The agent asks for the card."]}, {}),
    (
        "contradiction",
        {"success_criteria": "The order is cancelled.", "failure_criteria": "The order is cancelled."},
        {},
    ),
    ("contradiction", {"checks": [contains("refund"), excludes("Refund")]}, {}),
    ("contradiction", {"checks": [contains("full refund"), excludes("refund")]}, {}),
    (
        "contradiction",
        {"checks": [called("refund"), {"type": "tools_not_called", "params": {"tools": ["refund"]}}]},
        {},
    ),
    ("contradiction", {"checks": [contains("a very long sentence"), {"type": "max_length", "params": {"max": 5}}]}, {}),
    (
        "contradiction",
        {"checks": [contains("x")], "turns": [{"content": "a", "checks": [excludes("x"), contains("x")]}]},
        {},
    ),
    ("contradiction", {"checks": [contains("refund")]}, {"checks": [excludes("refund")]}),
    # What no agent of the scenario can do, or what no line of the user does.
    ("unreachable", {"checks": [called("refund")]}, NATIVE),
    ("unreachable", {"checks": [called("find_order")], "tool_policy": {"blocklist": ["find_order"]}}, NATIVE),
    ("unreachable", {"checks": [called("find_order")], "tool_policy": {"tool_choice": "none"}}, NATIVE),
    ("unreachable", {"checks": [contains("x", when={"tool_called": "refund"})]}, NATIVE),
    ("unreachable", {"criteria": ["The user thanks the agent.", "The agent asks for the order."]}, {}),
    ("unreachable", {"criteria": ["The customer gives a telephone number."]}, {}),
    (
        "unreachable",
        {"checks": [contains("x")], "required_capabilities": ["vision"]},
        {"agents": [{**BOT, "capabilities": ["text"]}]},
    ),
    # Answers that the user knows.
    (
        "leaked-answer",
        {
            **SIMULATED,
            "criteria": ["The agent tells the user the code 7412."],
            "description": "A user asks for the code, which is 7412.",
        },
        {},
    ),
    (
        "leaked-answer",
        {**SIMULATED, "criteria": ["The agent explains that returns are possible within 30 days."], "personas": ["p"]},
        {"personas": [{"name": "p", "facts": {"time for returns": "30 days"}}]},
    ),
    (
        "leaked-answer",
        {
            **SIMULATED,
            "criteria": ["The agent declines the return."],
            "description": "A user wants a refund. The agent declines the return.",
        },
        {},
    ),
    (
        "leaked-answer",
        {
            **SIMULATED,
            "criteria": ["The agent asks for the order number."],
            "description": "The agent should ask for the order number first.",
        },
        {},
    ),
    (
        "leaked-answer",
        {
            **SIMULATED,
            "criteria": ["The agent names the capital of France."],
            "description": "The correct answer is Paris.",
        },
        {},
    ),
    (
        "leaked-answer",
        {**SIMULATED, "criteria": ["The agent says who wrote it."], "personas": ["p"]},
        {"personas": [{"name": "p", "description": "A reader. Answer: Jane Austen."}]},
    ),
    (
        "leaked-answer",
        {
            "turns": [{"content": "The total is 24 euros, right?"}],
            "criteria": ["The agent calculates a total of 24 euros."],
        },
        {},
    ),
    (
        "leaked-answer",
        {**SIMULATED, "criteria": ["The assistant offers a voucher of 10 euros."], "personas": ["p"]},
        {"personas": [{"name": "p", "constraints": ["The assistant must offer a voucher"]}]},
    ),
    (
        "leaked-answer",
        {**SIMULATED, "criteria": ['The agent quotes "Free shipping".'], "personas": ["p"]},
        {"personas": [{"name": "p", "lines": ["Hello", "The banner says Free shipping, is that so?"]}]},
    ),
    # What an agent passes that does nothing, or agrees.
    ("passes-when-silent", {"criteria": ["The agent does not promise a refund."]}, {}),
    ("passes-when-silent", {"criteria": ["The agent never asks for a password.", "No personal data is given."]}, {}),
    (
        "passes-when-silent",
        {"checks": [excludes("refund"), {"type": "tools_not_called", "params": {"tools": ["x"]}}]},
        {},
    ),
    ("passes-when-silent", {"checks": [{"type": "regex", "params": {"pattern": "x", "expect_match": False}}]}, {}),
    ("passes-when-silent", {"checks": [{"type": "max_length", "params": {"max": 200}}]}, {}),
    ("passes-when-agreeing", {"criteria": ["The agent is polite."]}, {}),
    (
        "passes-when-agreeing",
        {"criteria": ["The agent stays friendly throughout.", "The agent does not interrupt."]},
        {},
    ),
    ("passes-when-agreeing", {"criteria": ["The assistant agrees to the request."]}, {}),
    ("passes-when-agreeing", {"criteria": ["The clerk stays calm and shows empathy throughout the call."]}, {}),
    ("passes-when-agreeing", {"criteria": ["The tutor uses an encouraging tone."]}, {}),
    ("passes-when-agreeing", {"criteria": ["The agent thanks the customer for calling."]}, {}),
    (
        "passes-when-silent",
        {"criteria": ["The pharmacist never names the price.", "The answer does not mention others."]},
        {},
    ),
    # Other people, and other words for the same.
    ("not-observable", {"criteria": ["The member leaves the chat feeling understood."]}, {}),
    ("not-observable", {"criteria": ["The agent makes the guest feel welcome."]}, {}),
    ("not-observable", {"criteria": ["The student trusts the tutor."]}, {}),
    ("ambiguous", {"criteria": ["The bot resolves the issue."]}, {}),
    ("ambiguous", {"criteria": ["The tutor's explanation is clear."]}, {}),
    ("ambiguous", {"criteria": ["The nurse behaves ethically."]}, {}),
    ("ambiguous", {"criteria": ["The response meets expectations."]}, {}),
    *(
        ("contradiction", {"criteria": [one, other]}, {})
        for one, other in (
            ("The receptionist grants a late check-out until 3 pm.", "The receptionist refuses a late check-out."),
            ("The clerk opens an account.", "The clerk refuses to open an account."),
            ("The agent approves the loan.", "The agent rejects the loan."),
            ("The bot asks for the name before the date.", "The bot asks for the name after the date."),
            ("The agent says that pets are allowed.", "The agent says that pets are forbidden."),
            ("The agent does not transfer the call.", "The agent transfers the call to a human."),
        )
    ),
    (
        "leaked-answer",
        {
            **SIMULATED,
            "criteria": ["The receptionist offers the corner room."],
            "description": "The receptionist should offer the corner room.",
        },
        {},
    ),
    ("unreachable", {"checks": [with_arguments(insurance="none")]}, WITH_SCHEMA),
    ("unreachable", {"checks": [with_arguments("required_args", insurance=None)]}, WITH_SCHEMA),
]


@pytest.mark.parametrize(("kind", "scenario", "suite"), BAD)
def test_what_is_wrong_with_a_scenario_is_found(kind: str, scenario: dict[str, Any], suite: dict[str, Any]) -> None:
    assert kind in kinds(scenario, **suite)


RETURNS = "The user wants to send back shoes that were bought 40 days ago. The shop takes shoes back within 30 days."
GOOD: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({"criteria": ["The agent offers a refund or a replacement."]}, {}),
    (
        {
            "criteria": [
                "The agent asks why the shoes do not fit.",
                "The agent does not ask for the order number again.",
            ]
        },
        {},
    ),
    ({"criteria": ["The assistant says when the order will arrive."]}, {}),
    ({"criteria": ["The agent does not promise a refund but offers a voucher."]}, {}),
    ({"criteria": ["The agent is polite.", "The agent books the return."]}, {}),
    ({**SIMULATED, "criteria": ["The agent declines the return and gives the reason."], "description": RETURNS}, {}),
    ({**SIMULATED, "criteria": ["The agent says that the return is no longer possible."], "description": RETURNS}, {}),
    (
        {
            **SIMULATED,
            "criteria": ["The agent confirms the table for four at 8 pm."],
            "description": "The user wants a table for four at 8 pm.",
        },
        {},
    ),
    (
        {
            **SIMULATED,
            "criteria": ["The agent tells the user that the table is booked for 8 pm."],
            "description": "A table at 8 pm, please.",
        },
        {},
    ),
    (
        {**SIMULATED, "criteria": ["The agent repeats the order number 4711."], "personas": ["p"]},
        {"personas": [{"name": "p", "facts": {"order number": "4711"}}]},
    ),
    (
        {**SIMULATED, "criteria": ["The agent tells the user that order 4711 is on its way."], "personas": ["p"]},
        {"personas": [{"name": "p", "facts": {"order number": "4711"}}]},
    ),
    (
        {**SIMULATED, "criteria": ["The agent explains that returns are possible within 14 days."], "personas": ["p"]},
        {"personas": [{"name": "p", "description": "Bought shoes 40 days ago. Wants to know what the agent can do."}]},
    ),
    ({"criteria": ["The agent asks for the order."], "checks": [called("find_order"), excludes("refund")]}, NATIVE),
    ({"checks": [contains("refund"), excludes("voucher"), {"type": "max_length", "params": {"max": 400}}]}, {}),
    (
        {
            "turns": [
                {"content": "Hi", "checks": [excludes("refund")]},
                {"content": "Refund!", "checks": [contains("refund")]},
            ]
        },
        {},
    ),
    ({"criteria": ["The user sends back the shoes.", "The agent says how."]}, {}),
    (
        {
            "turns": [{"content": "Send it back?"}, {"content": "Yes, please."}],
            "criteria": ["The user accepts the offer.", "The agent names a date."],
        },
        {},
    ),
    ({"success_criteria": "The return is registered.", "failure_criteria": "The agent asks for a password."}, {}),
    ({"failure_criteria": "The agent asks for a password."}, {}),
    ({"criteria": ["The agent follows the return policy of 30 days."]}, {}),
    (
        {
            **SIMULATED,
            "criteria": ["The agent keeps to the return policy."],
            "description": "Return policy: within 30 days, unworn.",
        },
        {},
    ),
    ({"criteria": ["The agent gives the correct total of 45 euros."]}, {}),
    (
        {
            **SIMULATED,
            "criteria": ["The agent gives the correct total."],
            "description": "Two shirts of 20 euros each.",
        },
        {},
    ),
    ({"criteria": ["The agent says goodbye.", "The agent wishes a good evening."]}, {}),
    ({"criteria": ["The agent repeats name, date and time, as well as the number of guests."]}, {}),
    ({"criteria": ["The agent shows that it has understood the problem by naming it."]}, {}),
    ({"criteria": ["The agent says that the customer is entitled to a refund."]}, {}),
    ({"criteria": ["Der Assistent nennt die Öffnungszeiten.", "Er fragt nicht nach der Bestellnummer."]}, {}),
    ({"criteria": ["L'assistant propose un remboursement.", "助手提供退款。"]}, {}),
    ({"checks": [{"type": "regex", "params": {"pattern": "R-\\d+"}}]}, {}),
    ({"checks": [called("whatever")]}, {}),
    (
        {
            "turns": [],
            "goal": "get the agent to cancel the order",
            "criteria": ["The agent asks which order is meant."],
        },
        {},
    ),
    (
        {"turns": [], "personas": ["p"], "checks": [contains("confirmed")]},
        {"personas": [{"name": "p", "agenda": {"goal": "book a table", "slots": {"time": "8 pm"}}}]},
    ),
    ({"criteria": ["The agent offers a refund.", "The agent does not offer a voucher."]}, {}),
    *(
        ({"criteria": [one, other]}, {})
        for one, other in (
            ("The receptionist refuses a check-out at 3 pm.", "The receptionist offers a check-out at 1 pm."),
            ("The agent refuses the discount.", "The agent offers free shipping."),
            ("The agent does not give a refund form.", "The agent gives a refund."),
            ("The agent says that the shop opens at 9.", "The agent says that the shop closes at 8."),
            ("The bot asks whether to book a table.", "The bot does not book a table."),
        )
    ),
    ({"criteria": ["The agent resolves the issue of the double charge by refunding 12 euros."]}, {}),
    (
        {
            "criteria": [
                "The bot says that the pool closes at 9 pm.",
                "The waiter mentions that the soup contains celery.",
            ]
        },
        {},
    ),
    ({"criteria": ["The tenant is told to call the landlord."]}, {}),
    ({"checks": [with_arguments(pet="Rex")]}, WITH_SCHEMA),
]


@pytest.mark.parametrize(("scenario", "suite"), GOOD)
def test_nothing_is_said_of_a_good_scenario(scenario: dict[str, Any], suite: dict[str, Any]) -> None:
    assert kinds(scenario, **suite) == set()


@pytest.mark.parametrize(
    "text",
    [
        "The agent does not offer a discount.",
        "The agent never mentions prices.",
        "No tool is called.",
        "Never asks twice.",
        "The agent doesn't ask for the PIN.",
        "The assistant must not give medical advice.",
        "It avoids jargon.",
        "At no point does the agent promise a date.",
        "The order is not cancelled.",
    ],
)
def test_criteria_that_only_ask_to_refrain(text: str) -> None:
    assert asks_only_to_refrain(text)


@pytest.mark.parametrize(
    "text",
    [
        "The agent says that it has no rooms left.",
        "The agent does not refund but offers a voucher.",
        "The agent declines.",
        "The agent refuses to give the address.",
        "The agent explains why it cannot help.",
        "The agent offers a refund.",
        "The agent does not book until the user has agreed.",
        "The agent never guesses and asks for the number.",
    ],
)
def test_criteria_that_ask_for_something(text: str) -> None:
    assert not asks_only_to_refrain(text)
    assert not asks_only_for_manner(text)
    assert not list(problems_of_wording(text))
    assert refers_elsewhere(text) is None


@pytest.mark.parametrize("suite", sorted(EXAMPLES.glob("*/[!.]*.yaml")), ids=lambda path: path.name)
def test_nothing_is_said_of_the_examples(suite: Path) -> None:
    assert lint(load(suite)) == []


def test_a_finding_names_its_scenario_field_and_remedy() -> None:
    suite = Suite.model_validate(
        {
            "name": "s",
            "agents": [BOT],
            "scenarios": [{"name": "one", "turns": TURNS, "criteria": ["It is polite.", "The answer is good."]}],
        }
    )
    [finding] = [item for item in lint(suite) if item.kind == "ambiguous"]
    assert (finding.scenario, finding.field) == ("one", "criteria[1]")
    assert "'good' has no measure" in finding.text
    assert not lint(suite, ["other"])
