"""The embedded model as a judge: the labelled set is what it says it is, and the model is better than chance on it.

``judged_conversations.jsonl`` holds 30 conversations that the authors wrote for this purpose, one a line. Each has one
to three criteria; ``met`` is the label and ``reason`` what it rests on. The labels were set by hand while the
conversations were written, before any model was asked. ``kind`` says what makes a conversation hard. All of it is
measured by ``benchmarks/judge_quality.py``; here a part of it is, in less than a minute.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path

import pytest

import duologue
from duologue import JudgeAgent
from duologue.agents.judge.local import MEASURED, judge_by_probability, plain_transcript
from duologue.context import Context
from duologue.errors import ConfigurationError
from duologue.messages import text_of, tool_calls_of
from duologue.models.local import LocalModel
from duologue.models.scope import RunScope
from duologue.stats.agreement import cohens_kappa
from duologue.testing import ScriptedAgent, ScriptedUserAgent
from duologue.vocabulary import Decision, Verdict

PATH = Path(__file__).with_name("judged_conversations.jsonl")
ROWS = [json.loads(line) for line in PATH.read_text(encoding="utf-8").splitlines()]
LABELS = [item for row in ROWS for item in row["criteria"]]
KINDS = {"claim without the call", "injection", "partial", "right refusal", "wrong number"}
"""Hard ones that have to be there, among others."""
PART = ROWS[::2]


def test_the_set_has_30_conversations_of_many_domains():
    assert len({row["id"] for row in ROWS}) == len(ROWS) == 30
    assert len({row["domain"] for row in ROWS}) >= 15
    assert {row["kind"] for row in ROWS} >= KINDS
    assert all(set(row) == {"id", "domain", "kind", "messages", "criteria"} for row in ROWS)


def test_half_of_the_labels_are_met_and_each_has_a_reason():
    assert Counter(item["met"] for item in LABELS) == {True: 35, False: 35}
    assert all(set(item) == {"criterion", "met", "reason"} for item in LABELS)
    assert all(item["criterion"].strip() and item["reason"].strip() for item in LABELS)
    assert all(1 <= len(row["criteria"]) <= 3 for row in ROWS)
    assert all(len({item["criterion"] for item in row["criteria"]}) == len(row["criteria"]) for row in ROWS)


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_hard_kinds_are_not_all_of_one_label(kind):
    assert {item["met"] for row in ROWS if row["kind"] == kind for item in row["criteria"]} == {True, False}


@pytest.mark.parametrize("row", ROWS, ids=[row["id"] for row in ROWS])
def test_a_conversation_is_one_that_can_be_had(row):
    roles = [message["role"] for message in row["messages"]]
    assert (roles[0], set(roles) - {"user", "assistant", "tool"}) == ("user", set())
    assert "assistant" in roles
    called = [call["id"] for message in row["messages"] for call in tool_calls_of(message)]
    assert called == [message["tool_call_id"] for message in row["messages"] if message["role"] == "tool"]
    assert all(text_of(message) or tool_calls_of(message) for message in row["messages"])
    # The model is shown all of it.
    assert not plain_transcript(row["messages"])[1]


def test_numbers_in_reasons_are_from_the_conversation_or_the_criterion():
    for row in ROWS:
        told = plain_transcript(row["messages"])[0]
        for item in row["criteria"]:
            said = set(re.findall(r"\d+", told + item["criterion"]))
            made = {"5"} if row["id"] == "homework" else set()
            assert set(re.findall(r"\d+", item["reason"])) <= said | made, item


@pytest.fixture(scope="module")
def model():
    try:
        return LocalModel.from_config("local")
    except ConfigurationError as error:
        pytest.skip(str(error))


@pytest.mark.live
async def test_the_embedded_judge_is_better_than_chance(model):
    said, labels = [], []
    for row in PART:
        criteria = [item["criterion"] for item in row["criteria"]]
        judgement = await judge_by_probability(model, criteria, row["messages"], RunScope(context=Context()))
        said += [finding.decision is Decision.MET for finding in judgement.findings]
        labels += [item["met"] for item in row["criteria"]]
    right = sum(one == other for one, other in zip(said, labels, strict=True))
    # One that only ever gives one answer has half of them right, and a kappa of 0.
    assert right > 0.55 * len(labels), (right, len(labels))
    assert cohens_kappa(said, labels) > 0.1


@pytest.mark.live
async def test_its_measured_accuracy_is_printed_beside_its_verdict(model, capsys):
    row = ROWS[0]
    judge = JudgeAgent(criteria=[item["criterion"] for item in row["criteria"]], model=model)
    result = await duologue.arun(
        row["id"],
        "A customer talks to an agent.",
        [ScriptedAgent([]), ScriptedUserAgent([]), judge],
        script=[*map(duologue.message, row["messages"]), duologue.judge()],
        verbose=True,
    )
    (line,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("Judge:")]
    measured = MEASURED[model.name]
    assert measured.of == len(LABELS)
    assert " (advisory): " in line
    assert f"right on {measured.right} of {measured.of} labels" in line
    assert f"kappa {measured.kappa:.2f}" in line
    # It decides nothing.
    assert result.verdict is Verdict.UNDECIDED
