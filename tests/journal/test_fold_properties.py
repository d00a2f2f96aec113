"""For any script: the live state equals the fold of the journal, in memory and read back from disk."""

from __future__ import annotations

import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

import duologue
from duologue import AgentRole, Verdict
from duologue.conversation.turns import ROLE_ORDER
from duologue.journal import fold, read_journal
from duologue.journal.events import AgentCalled, MessageAdded, TurnStarted
from duologue.testing import ScriptedAgent, ScriptedJudge, ScriptedUserAgent, context, run_virtual


def void(_: object) -> None:
    """Nothing, whatever was given."""


TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
STEPS = st.one_of(
    st.just(duologue.user()),
    st.just(duologue.agent()),
    st.just(duologue.agent(wait=False)),
    st.builds(duologue.user, TEXT),
    st.builds(duologue.agent, TEXT),
    st.builds(duologue.proceed, st.integers(1, 3)),
    st.just(duologue.judge(["ok"])),
    st.builds(lambda text: duologue.message({"role": "system", "content": text}), TEXT),
    st.builds(lambda index: lambda state: void(state.rollback_messages_to(index)), st.integers(0, 4)),
)


DECISIONS = st.lists(st.sampled_from([None, None, None, True, False, Verdict.UNDECIDED]), min_size=1, max_size=4)


def cast(users, agents, decisions):
    return [
        *(ScriptedUserAgent([f"u{i}"], repeat=True, seconds=1) for i in range(users)),
        *(
            ScriptedAgent([[], f"a{i}", [{"role": "assistant", "content": "x"}] * 2], repeat=True, seconds=2)
            for i in range(agents)
        ),
        ScriptedJudge(decisions, repeat=True),
    ]


@settings(max_examples=150, deadline=None)
@given(
    script=st.lists(STEPS, max_size=8),
    users=st.integers(1, 2),
    agents=st.integers(1, 2),
    decisions=DECISIONS,
    max_turns=st.integers(1, 4),
)
def test_folding_the_journal_gives_the_live_state(script, users, agents, decisions, max_turns):
    with tempfile.TemporaryDirectory() as folder:
        executor = duologue.prepare(
            "s", "d", cast(users, agents, decisions), max_turns, False, script=script, record=folder, context=context()
        )
        result = run_virtual(executor.perform())
        live = executor.journal.view
        events = [entry.event for entry in executor.journal.entries]
        folded = fold(events)
        folded.started_at = live.started_at
        assert folded == live
        [path] = Path(folder).iterdir()
        assert read_journal(path).view == live
        assert duologue.read_result(path) == result
        check_turn_model(events, executor.agents)


def check_turn_model(events, agents):
    """Within a turn the roles follow their order, nobody is called twice, and turns count up by one."""
    position, used, turn = 0, set(), 0
    for event in events:
        if isinstance(event, TurnStarted):
            assert event.turn == turn + 1
            position, used, turn = 0, set(), event.turn
        participant = None
        if isinstance(event, AgentCalled):
            participant = event.participant
        elif isinstance(event, MessageAdded):
            participant = event.stands_in_for
            assert event.turn == turn
        if participant is None:
            continue
        rank = ROLE_ORDER.index(agents[participant].role)
        assert participant not in used
        assert rank >= position
        position = rank
        used.add(participant)


@settings(max_examples=60, deadline=None)
@given(turns=st.integers(1, 5), speakers=st.integers(1, 3))
def test_everyone_is_given_every_message_of_the_others_exactly_once(turns, speakers):
    agents = [ScriptedAgent([f"a{i}"], repeat=True) for i in range(speakers)]
    user = ScriptedUserAgent(["u"], repeat=True)
    result = run_virtual(duologue.arun("s", "d", [user, *agents], turns, False, context=context()))
    for index, agent in enumerate(agents):
        given_messages = [message for call in agent.inputs for message in call.new_messages]
        others = [message for message in result.messages if message["content"] != f"a{index}"]
        assert given_messages == others[: len(given_messages)]
        assert len(given_messages) >= len(others) - speakers
    assert agents[0].role is AgentRole.AGENT
