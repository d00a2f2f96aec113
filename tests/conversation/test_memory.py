"""A run that is over holds on to nothing, so that thousands of runs at once take little memory."""

import asyncio
import gc
import weakref

import pytest

import duologue
from duologue.conversation.result import RunControl, ScenarioState


class Passing(duologue.AgentAdapter):
    role = duologue.AgentRole.JUDGE

    async def call(self, input):
        return duologue.ScenarioResult(success=True)


class Counting(duologue.AgentAdapter):
    """Counts the runs that have not been freed; answers at once, or after a few rounds of the event loop."""

    def __init__(self, rounds: int = 0) -> None:
        self.rounds = rounds
        self.runs: weakref.WeakSet[ScenarioState | RunControl] = weakref.WeakSet()
        self.most = 0

    async def call(self, input):
        self.runs |= {input.scenario_state, input.scenario_state.executor}
        self.most = max(self.most, len(self.runs))
        for _ in range(self.rounds):
            await asyncio.sleep(0)
        return "hello"


@pytest.fixture
def no_collector():
    gc.collect()
    gc.disable()
    yield
    gc.enable()


async def played(agent: Counting, **options: object) -> None:
    script = [duologue.agent(), duologue.judge()]
    await duologue.arun("memory", "", [agent, Passing()], script=script, verbose=False, **options)


@pytest.mark.parametrize("options", [{}, {"run_timeout": 60.0}, {"checks": [lambda state: True]}])
async def test_runs_that_wait_for_nothing_are_not_in_memory_together(no_collector, options):
    agent = Counting()
    await asyncio.gather(*(played(agent, **options) for _ in range(50)))
    assert agent.most <= 4


@pytest.mark.parametrize("rounds", [0, 1, 5])
async def test_a_run_that_is_over_is_freed_without_the_garbage_collector(no_collector, rounds):
    agent = Counting(rounds)
    await asyncio.gather(*(played(agent) for _ in range(20)))
    assert not agent.runs


async def test_an_executor_keeps_its_run_for_whoever_holds_it():
    executor = duologue.prepare("memory", "", [Counting(), Passing()], verbose=False)
    await executor.run()
    assert executor.journal.finished
    assert executor.state.messages
