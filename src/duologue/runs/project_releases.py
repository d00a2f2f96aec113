"""What decides about releases in a project: baselines, environments, the gate, deployments."""

from __future__ import annotations

from typing import Any

from duologue.errors import ConfigurationError, NotFoundError
from duologue.frozen import changed, frozen
from duologue.runs.arguments import checked
from duologue.runs.project_definitions import ProjectDefinitions
from duologue.runs.store.database.agents import no_version
from duologue.runs.store.database.baselines import Baselines
from duologue.runs.store.database.environments import DecidingExecution, Environments
from duologue.runs.store.database.execution_result import execution_so_far
from duologue.runs.store.definitions import AgentVersion, Eval, SavedAgent
from duologue.runs.store.releases import Baseline, Deployment, Environment, EnvironmentSpec, GateResult
from duologue.runs.webhooks import Webhook, send_webhook, webhook_of
from duologue.suites.results.execution import ExecutionResult

DEFAULT_BASELINE = "default"
"""The name of a baseline that is given none."""


@frozen
class _Candidate:
    """A version of an agent that somebody wants to release."""

    agent: SavedAgent
    version: AgentVersion


@checked
class ProjectReleases(ProjectDefinitions):
    """Baselines, environments and deployments of a project; see :class:`ProjectDefinitions`."""

    # Baselines

    async def set_baseline(self, execution_id: int, *, name: str = DEFAULT_BASELINE) -> Baseline:
        """Make an execution the baseline of that name for its eval and agent; another one that has it is replaced."""
        return await Baselines(self.database).set_baseline(self.project.id, execution_id, name)

    async def get_baseline(self, baseline_id: str) -> Baseline | None:
        """The baseline with that id."""
        return await Baselines(self.database).get_baseline(self.project.id, baseline_id)

    async def find_baseline(
        self, eval_id: str, *, name: str = DEFAULT_BASELINE, agent_id: str | None = None
    ) -> Baseline | None:
        """The baseline of that name of an eval; the newest, if it has one for several agents and none is named."""
        found = await self.list_baselines(eval_id=eval_id, agent_id=agent_id, name=name)
        return max(found, key=lambda item: item.updated_at, default=None)

    async def list_baselines(
        self,
        *,
        eval_id: str | None = None,
        agent_id: str | None = None,
        name: str | None = None,
        limit: int | None = None,
        after: str | None = None,
    ) -> list[Baseline]:
        """The baselines, of one eval or agent if it is given."""
        return await Baselines(self.database).list_baselines(
            self.project.id, eval_id=eval_id, agent_id=agent_id, name=name, limit=limit, after=after
        )

    async def delete_baseline(self, baseline_id: str) -> bool:
        """Delete a baseline; its execution stays."""
        return await Baselines(self.database).delete_baseline(self.project.id, baseline_id)

    # Environments

    async def create_environment(self, environment: EnvironmentSpec | None = None, /, **fields: Any) -> Environment:
        """Create an environment, from a spec or its fields."""
        return await Environments(self.database).create_environment(self.project.id, environment or fields)

    async def get_environment(self, environment_id: str) -> Environment | None:
        """The environment with that id."""
        return await self._own(Environments(self.database).get_environment(environment_id))

    async def get_environment_by_name(self, name: str) -> Environment | None:
        """The environment of that name."""
        found = await Environments(self.database).list_environments(self.project.id, name=name)
        return found[0] if found else None

    async def list_environments(self, *, limit: int | None = None, after: str | None = None) -> list[Environment]:
        """The environments."""
        return await Environments(self.database).list_environments(self.project.id, limit=limit, after=after)

    async def update_environment(self, environment_id: str, **changes: Any) -> Environment | None:
        """Change fields of an environment."""
        if await self.get_environment(environment_id) is None:
            return None
        return await Environments(self.database).update_environment(environment_id, changes)

    async def delete_environment(self, environment_id: str) -> bool:
        """Delete an environment with the history of its deployments."""
        found = await self.get_environment(environment_id)
        return found is not None and await Environments(self.database).delete_environment(environment_id)

    # The gate

    async def check_gate(
        self,
        agent_id: str,
        eval_id: str | None = None,
        *,
        version: int | None = None,
        environment_id: str | None = None,
    ) -> GateResult:
        """Whether the newest execution of a version of an agent that is over passed.

        Args:
            agent_id: of a saved agent.
            eval_id: that has to have passed; None for that of the environment.
            version: of the agent; None for the newest.
            environment_id: where it is to be deployed; None for nowhere in particular.

        Raises:
            NotFoundError: there is no such agent, version, eval or environment.
            ConfigurationError: no eval is named, or the environment is for another agent.
        """
        environment = await self._required_environment(environment_id) if environment_id is not None else None
        candidate = await self._candidate(agent_id, version, environment)
        return await self._gate(candidate, await self._deciding_eval(eval_id, environment))

    async def deploy(
        self,
        environment_id: str,
        agent_id: str | None = None,
        *,
        version: int | None = None,
        eval_id: str | None = None,
    ) -> tuple[Deployment, GateResult | None]:
        """Deploy a version of an agent: let the gate decide, tell the webhook, and keep what came of it.

        An environment without an eval, for which none is named here, has no gate.

        Args:
            environment_id: where to.
            agent_id: of a saved agent; None for that of the environment.
            version: of the agent; None for the newest.
            eval_id: that has to have passed; None for that of the environment.

        Returns:
            The deployment, whose ``status`` says what came of it, and what the gate said.

        Raises:
            NotFoundError: there is no such environment, agent, version or eval.
            ConfigurationError: the environment is for another agent, or its webhook cannot be used.
        """
        environment = await self._required_environment(environment_id)
        candidate = await self._candidate(_agent_of(environment, agent_id), version, environment)
        gated = eval_id is not None or environment.spec.eval_id is not None
        gate = await self._gate(candidate, await self._deciding_eval(eval_id, environment)) if gated else None
        store = Environments(self.database)
        facts: dict[str, Any] = {
            "agent_id": candidate.agent.id,
            "agent_version": candidate.version.version,
            "execution_id": gate.execution_id if gate else None,
        }
        if gate is not None and not gate.passed:
            return await store.add_deployment(environment, status="refused", message=gate.reason, **facts), gate
        if environment.spec.webhook_url is None:
            told = "recorded; the environment has no webhook"
            return await store.add_deployment(environment, status="deployed", message=told, **facts), gate
        access = await self.access()
        begun = await store.add_deployment(environment, status="pending", **facts)
        try:
            webhook = webhook_of(environment, candidate.agent, candidate.version, gate, begun, access.values)
            private = webhook.allow_private_addresses and access.private_addresses
            webhook = changed(webhook, allow_private_addresses=private)
            delivered = await send_webhook(webhook, self.database.context.clock)
        except ConfigurationError as error:
            await store.end_deployment(begun, "failed", str(error))
            raise
        status = "deployed" if delivered.success else "failed"
        return await store.end_deployment(begun, status, delivered.message), gate

    async def preview_deployment(
        self, environment_id: str, agent_id: str | None = None, *, version: int | None = None
    ) -> Webhook:
        """What the webhook of an environment would be sent for a version; nothing is sent or recorded."""
        environment = await self._required_environment(environment_id)
        candidate = await self._candidate(_agent_of(environment, agent_id), version, environment)
        gate = None
        if environment.spec.eval_id is not None:
            gate = await self._gate(candidate, await self._deciding_eval(None, environment))
        return webhook_of(environment, candidate.agent, candidate.version, gate, None, None)

    async def list_deployments(
        self,
        *,
        environment_id: str | None = None,
        agent_id: str | None = None,
        limit: int | None = None,
        before: int | None = None,
    ) -> list[Deployment]:
        """What was deployed, or refused, the newest first."""
        return await Environments(self.database).list_deployments(
            self.project.id, environment_id=environment_id, agent_id=agent_id, limit=limit, before=before
        )

    async def _required_environment(self, environment_id: str) -> Environment:
        found = await self.get_environment(environment_id)
        if found is None:
            raise NotFoundError(f'Environment with id "{environment_id}" not found')
        return found

    async def _candidate(self, agent_id: str, version: int | None, environment: Environment | None) -> _Candidate:
        agent = await self.get_agent(agent_id)
        if agent is None:
            raise NotFoundError(f'Agent with id "{agent_id}" not found')
        if environment is not None and environment.spec.agent_id not in {None, agent_id}:
            raise ConfigurationError(f"the environment '{environment.name}' is for another agent than '{agent.name}'")
        found = await self.get_agent_version(agent_id, version)
        if found is None:
            raise no_version(agent.name, version)
        return _Candidate(agent=agent, version=found)

    async def _deciding_eval(self, eval_id: str | None, environment: Environment | None) -> Eval:
        chosen = eval_id or (environment.spec.eval_id if environment is not None else None)
        if chosen is None:
            raise ConfigurationError("no eval is named that decides; name one, or give the environment an eval_id")
        found = await self.get_eval(chosen)
        if found is None:
            raise NotFoundError(f'Eval with id "{chosen}" not found')
        return found

    async def _gate(self, candidate: _Candidate, eval_: Eval) -> GateResult:
        agent, version = candidate.agent, candidate.version.version
        found = await Environments(self.database).deciding_execution(self.project.id, eval_.id, agent.id, version)
        result = await execution_so_far(self.database, found.execution.id) if found.execution else None
        return gate_result(agent, version, eval_, found, result)


def gate_result(
    agent: SavedAgent, version: int, eval_: Eval, found: DecidingExecution, result: ExecutionResult | None
) -> GateResult:
    """What a gate says of a version.

    Args:
        agent, version, eval_: what is asked about.
        found: the newest of its executions that is over.
        result: what that comes to, by the thresholds that it keeps.
    """
    facts: dict[str, Any] = {
        "agent_id": agent.id,
        "agent_name": agent.name,
        "agent_version": version,
        "eval_id": eval_.id,
        "eval_name": eval_.name,
        "notes": _notes(found),
    }
    who = f"version {version} of the agent '{agent.name}'"
    if found.execution is None or result is None:
        return GateResult(passed=False, reason=f"no execution of {who} with the eval '{eval_.name}' is over", **facts)
    totals, required = result.totals, result.allowance.pass_rate
    passed = result.ok and totals.passed > 0
    needed = 1.0 if required is None else required
    told = [f"{totals.passed} of {totals.cases} test cases passed, {needed:.0%} are required"]
    score = result.grading.weighted_score if result.metrics_threshold is not None and result.grading else None
    if result.metrics_threshold is not None:
        reached = "none" if score is None else f"{score:.1f}"
        told.append(f"the metrics come to {reached}, {result.metrics_threshold:g} are required")
        passed = passed and score is not None and not result.graded_too_low
    word = "passed" if passed else "did not pass"
    return GateResult(
        passed=passed,
        reason=f"execution {found.execution.id} of {who} with the eval '{eval_.name}' {word}: {'; '.join(told)}",
        execution_id=found.execution.id,
        execution_name=found.execution.name,
        counts=dict(found.outcomes),
        pass_rate=totals.passed / totals.cases if totals.cases else 0.0,
        required_pass_rate=needed,
        metrics_score=score,
        required_metrics_score=result.metrics_threshold,
        **facts,
    )


def _notes(found: DecidingExecution) -> tuple[str, ...]:
    notes: list[str] = []
    if found.unfinished:
        shown = ", ".join(map(str, found.unfinished[:5]))
        notes.append(f"newer executions are not over, or were cancelled, and were not looked at: {shown}")
    if errors := found.outcomes.get("error", 0):
        notes.append(f"{errors} {'run' if errors == 1 else 'runs'} ended in an error, which is no pass")
    return tuple(notes)


def _agent_of(environment: Environment, agent_id: str | None) -> str:
    chosen = agent_id or environment.spec.agent_id
    if chosen is None:
        raise ConfigurationError(f"the environment '{environment.name}' is for any agent; name the one to deploy")
    return chosen
