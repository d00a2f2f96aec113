"""Stored runs that are continued from the end of one of their turns, as executions of their own.

What such runs are made from is frozen like that of any run: the snapshot of the recorded run, or one of another agent,
with the recorded turns in it. So any worker can carry them out, and continue them if another one has died.
"""

from __future__ import annotations

import asyncio

from sqlalchemy import Connection, select

from duologue.config.placed_json import refused
from duologue.context import random_uuid
from duologue.errors import ConfigurationError, NotFoundError, StoreConflictError
from duologue.frozen import changed, frozen
from duologue.runs.arguments import checked
from duologue.runs.eval_definitions import connector_of, eval_definition, personas_of, version_of
from duologue.runs.evals import Definition, compiled
from duologue.runs.project_definitions import ProjectDefinitions
from duologue.runs.snapshots import forked_snapshot, read_snapshot
from duologue.runs.store.database.artifacts import artifacts_of
from duologue.runs.store.database.definition_rows import (
    find_project,
    get,
    named,
    require,
    saved_scenarios,
    speakers_of,
)
from duologue.runs.store.database.journals import Journals
from duologue.runs.store.database.metrics import saved_metrics
from duologue.runs.store.database.rows import read_run
from duologue.runs.store.database.schema import agents, evals, runs, scenarios, snapshots
from duologue.runs.store.records import OVER, Enqueued, NewExecution, NewRun, Snapshot, StoredRun
from duologue.suites.forks.fork import Continuation, require_forkable, trials_of
from duologue.suites.forks.recorded import first_turns, total_turns
from duologue.suites.plan.build import TestCase

MOST_TRIALS = 1000
"""Continuations of one run."""


@frozen
class _Recorded:
    """The run that is forked, and what its continuations are made from."""

    run: StoredRun
    snapshot: Snapshot
    provider: str
    definition: Definition | None


@checked
class ProjectForks(ProjectDefinitions):
    """Continuations of the runs of a project; see :class:`ProjectDefinitions`."""

    async def fork_run(
        self,
        run_id: str,
        turn: int,
        *,
        say: str | None = None,
        trials: int = 10,
        again: bool | None = None,
        agent: str | None = None,
        connector_id: str | None = None,
        agent_id: str | None = None,
        agent_version: int | None = None,
        model: str | None = None,
        priority: int = 0,
        max_attempts: int = 3,
        execution_name: str | None = None,
        budget: float | None = None,
    ) -> Enqueued:
        """Continue a run from the end of one of its turns, several times, as an execution of its own.

        Args:
            run_id: of the run, which is over.
            turn: after how many turns; 0 from the beginning.
            say: what the user says next; None for what the scenario says.
            trials: how often.
            again: whether the user's lines are said to the agent again; None to find out what the agent needs.
            agent: another agent of the suite that the run was made from.
            connector_id: of another agent behind a connector.
            agent_id, agent_version: another saved agent, and its version; None for the newest.
            model: another model for an agent that is made of one.
            priority: runs with a higher one are claimed first.
            max_attempts: after so many workers have died with a run, it is set aside as an error.
            execution_name: of the execution, which no other of the project has; None for a new one.
            budget: US dollars that the models of all runs may cost together; a lower limit of the project counts.

        Raises:
            NotFoundError: the run does not exist, or another agent that is named.
            ConfigurationError: it has fewer turns, or cannot be continued with what is asked for.
            StoreConflictError: it is not over, or there is an execution of that name.
        """
        _require_choices(agent=agent, connector_id=connector_id, agent_id=agent_id)
        if agent_version is not None and agent_id is None:
            raise refused("agent_version", "there is no agent_id that it could be a version of")
        if not 1 <= trials <= MOST_TRIALS:
            raise refused("trials", f"found {trials}; expected 1 to {MOST_TRIALS}")
        if say is not None and not say.strip():
            raise refused("say", "found a text without words; leave it out for what the scenario says")
        if budget is not None and not 0 <= budget < float("inf"):
            raise refused("budget", f"found {budget}; expected US dollars, 0 or more")
        if execution_name is not None:
            named(execution_name, "execution")

        def work(connection: Connection) -> _Recorded:
            found = self._recorded(connection, run_id)
            if connector_id is None and agent_id is None:
                return found
            made = self._with_agent(connection, found.run, connector_id, agent_id, agent_version)
            return changed(found, definition=made)

        found = await self.database.read(work)
        journals = Journals(self.database, artifacts_of(self.database.address))
        if not await journals.attempts(run_id):
            raise ConfigurationError(f'the run "{run_id}" has no journal, so nobody knows how its turns came about')
        entries = (await journals.read(run_id)).entries
        if not 0 <= turn <= (total := total_turns(entries)):
            raise refused("turn", f"found {turn}; expected 0 to {total}, since the run has {total} turns")
        start = Continuation(recorded=first_turns(entries, turn), say=say, again=again)
        snapshot, case, provider = await asyncio.to_thread(_made_of, found, agent, model, start, budget)
        base = NewRun(
            id="",
            snapshot=snapshot.digest,
            case=case,
            scenario_id=found.run.scenario_id,
            persona_id=found.run.persona_id,
            connector_id=connector_id if agent_id is None else None,
            agent_id=agent_id,
            agent_version=_version(found),
            provider=provider,
            priority=priority,
            max_attempts=max_attempts,
        )
        if connector_id is None and agent_id is None and agent is None:
            run = found.run
            base = changed(base, connector_id=run.connector_id, agent_id=run.agent_id, agent_version=run.agent_version)
        rows = [changed(base, id=random_uuid(), case=one) for one in trials_of(case, trials, salt=f"fork {turn} {say}")]
        facts = {"run_id": run_id, "turn": turn, **({"say": say} if say is not None else {})}
        data = {"suite": f"{case.scenario}, forked", "seed": found.run.case.seed, "fork": facts}
        execution = NewExecution(name=execution_name, data=data)
        return await self.database.queue.enqueue(self.project.id, rows, snapshots=[snapshot], execution=execution)

    def _recorded(self, connection: Connection, run_id: str) -> _Recorded:
        run = read_run(connection, run_id)
        if run is None or run.project_id != self.project.id:
            raise NotFoundError(f'Run with id "{run_id}" not found')
        if run.status not in OVER:
            raise StoreConflictError(f'the run "{run_id}" is not over; fork it once it is')
        asked = select(snapshots.c.digest, snapshots.c.data, runs.c.provider)
        row = connection.execute(
            asked.join(runs, runs.c.snapshot == snapshots.c.digest).where(runs.c.id == run_id)
        ).first()
        if row is None:
            raise ConfigurationError(f'what the run "{run_id}" was made from is not in the database any more')
        snapshot = Snapshot(digest=row.digest, data=row.data)
        return _Recorded(run=run, snapshot=snapshot, provider=row.provider, definition=None)

    def _with_agent(
        self,
        connection: Connection,
        run: StoredRun,
        connector_id: str | None,
        agent_id: str | None,
        agent_version: int | None,
    ) -> Definition:
        """The scenario and persona of a run as they are now, with another agent."""
        if run.scenario_id is None:
            raise ConfigurationError(
                f'the run "{run.id}" is of a suite that was submitted as a whole; name another agent of it with '
                "'agent'"
            )
        require(connection, scenarios, "Scenario", [run.scenario_id], self.project.id)
        scenario = saved_scenarios(connection, [run.scenario_id])[0]
        people = personas_of(connection, self.project, [run.persona_id] if run.persona_id is not None else [])
        if run.eval_id is not None and get(connection, evals, run.eval_id) is not None:
            _, made = eval_definition(connection, self.project, run.eval_id)
        else:
            made = Definition(
                name=f"fork: {scenario.name}"[:200],
                project=find_project(connection, self.project.id) or self.project,
                scenarios=[],
                speakers=speakers_of(connection, self.project.id, [scenario.spec]),
                metrics=saved_metrics(connection, self.project.id),
            )
        connector = connector_of(connection, self.project, connector_id) if connector_id is not None else None
        version = None
        if agent_id is not None:
            require(connection, agents, "Agent", [agent_id], self.project.id)
            version = version_of(connection, agent_id, agent_version)
        return changed(
            made, scenarios=[(scenario, list(people.values()))], connector=connector, version=version, trials=1
        )


def _made_of(
    found: _Recorded, agent: str | None, model: str | None, start: Continuation, budget: float | None
) -> tuple[Snapshot, TestCase, str | None]:
    """The snapshot of the continuations, their test case, and the provider of the model that decides."""
    snapshot, case, provider = found.snapshot, found.run.case, found.provider
    if found.definition is not None:
        made = compiled(found.definition, seed=case.seed)
        snapshot, case, provider = made.snapshot, changed(made.runs[0].case, seed=case.seed), made.provider or ""
    stored = read_snapshot(snapshot)
    if (earlier := read_snapshot(found.snapshot).fork) is not None:
        raise ConfigurationError(
            f"the run is a fork itself, of the run {earlier.recorded.run_id} after turn {earlier.recorded.turns}; fork "
            "that one"
        )
    if agent is not None:
        case = changed(case, agent=stored.suite.agent(agent).name)
    if case.scenario in stored.refused:
        raise ConfigurationError(f"the run cannot be continued: {stored.refused[case.scenario]}")
    require_forkable(stored.suite, case)
    if model is not None:
        named_ = case.agent or ""
        if not stored.suite.agent(named_).model:
            raise refused("model", f"the agent '{named_}' is not made of a model; name another agent instead")
    return forked_snapshot(snapshot, start, agent=case.agent, model=model, budget=budget), case, provider


def _version(found: _Recorded) -> int | None:
    version = found.definition.version if found.definition is not None else None
    return version.version if version is not None else None


def _require_choices(**given: str | None) -> None:
    chosen = [name for name, value in given.items() if value is not None]
    if len(chosen) > 1:
        raise refused(chosen[1], f"{chosen[0]} names another agent already; keep one of them")
