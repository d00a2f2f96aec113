"""The runs API: what is created, in which order, what a run shows, what can be changed, and what is refused."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from http_agents import HttpAgents, Reply, http_agents
from stored_runs import worker_record

from duologue.errors import ConfigurationError, NotFoundError, StoreConflictError
from duologue.journal import FolderArtifacts
from duologue.models.base import Model
from duologue.runs import SyncRunService
from duologue.runs.evals import NO_CRITERIA, ONE_TURN
from duologue.runs.processor import RunProcessor
from duologue.runs.service import RunService
from duologue.runs.store.database.definitions import SavedDefinitions
from duologue.runs.store.database.engine import Database
from duologue.runs.store.database.journals import Journals
from duologue.runs.store.database.schema import snapshots
from duologue.runs.store.records import Cancelled, QueueStatus, StoredRun
from duologue.testing import ScriptedModel

SECRET = "Bearer sk-live-4f9a8b7c6d5e4f3a"
USAGE = {"prompt_tokens": 12, "completion_tokens": 7, "total_tokens": 19}


@pytest.fixture
def agent() -> Iterator[HttpAgents]:
    with http_agents() as running:
        running.more["/chat"] = lambda asked: Reply({"message": {"content": "Of course."}, "usage": USAGE})
        yield running


@pytest.fixture
async def service(database: Database) -> RunService:
    project = await SavedDefinitions(database).get_project("p")
    assert project is not None
    return RunService(database, project)


class Made:
    """An eval with two scenarios, the first of them with two personas."""

    def __init__(self, service: RunService, url: str) -> None:
        self.service, self.url = service, url

    async def make(self, *, model: str | None = "law", **scenario: Any) -> Made:
        models = [{"name": "law", "provider": "given"}]
        await self.service.update_project(settings={"evaluation_model": model, "models": models} if model else None)
        self.pat = await self.service.create_persona(name="pat", headers={"Authorization": SECRET})
        self.kim = await self.service.create_persona(name="kim")
        hello = [{"role": "user", "content": "I want a refund."}]
        fields = {"description": "A refund.", "success_criteria": "A refund is promised", "messages": hello, **scenario}
        self.refund = await self.service.create_scenario(
            name="refund", persona_ids=[self.pat.id, self.kim.id], **fields
        )
        self.greeting = await self.service.create_scenario(name="greeting", **fields)
        self.connector = await self.service.create_connector(
            name="bot", type="http", base_url=self.url, config={"path": "/chat"}, headers={"X-Api-Key": "abc123def456"}
        )
        ids = [self.refund.id, self.greeting.id]
        self.eval = await self.service.create_eval(name="refunds", scenario_ids=ids, connector_id=self.connector.id)
        return self


@pytest.fixture
def made(service: RunService, agent: HttpAgents) -> Made:
    return Made(service, agent.url)


def evaluation(success: bool) -> str:
    entry = {"reason": "r", "evidence": ["m1"] if success else [], "met": success}
    return json.dumps({"success": entry, "confidence": 0.9, "reasoning": "in short"})


async def carry_out(service: RunService, models: Mapping[str, Model] | None = None) -> None:
    """Carry out all that is queued."""
    await RunProcessor(service.database, models=models, max_concurrent=10).drain()


async def test_one_run_for_each_scenario_and_persona_with_one_execution(made: Made) -> None:
    service = (await made.make()).service
    runs = await service.create_runs(made.eval.id, priority=3)
    assert [(run.scenario_id, run.persona_id) for run in runs] == [
        (made.refund.id, made.pat.id),
        (made.refund.id, made.kim.id),
        (made.greeting.id, None),
    ]
    assert {run.status for run in runs} == {QueueStatus.QUEUED}
    assert len({run.execution_id for run in runs}) == 1
    assert {(run.eval_id, run.connector_id, run.priority) for run in runs} == {(made.eval.id, None, 3)}
    assert all(run.messages == () and run.result is None and run.metadata == {} for run in runs)
    [execution] = await service.list_executions()
    assert (execution.id, execution.eval_id) == (runs[0].execution_id, made.eval.id)
    again = await service.create_run(made.eval.id)
    assert (again.scenario_id, again.persona_id) == (made.refund.id, made.pat.id)
    assert (again.execution_id or 0) > execution.id
    assert [item.id for item in await service.list_executions(limit=1)] == [again.execution_id]


async def test_twenty_creations_at_once_have_twenty_executions(made: Made) -> None:
    service = (await made.make()).service
    created = await asyncio.gather(*(service.create_runs(made.eval.id) for _ in range(20)))
    ids = [{run.execution_id for run in runs} for runs in created]
    assert all(len(item) == 1 for item in ids)
    assert len(set.union(*ids)) == 20
    assert len(await service.list_runs()) == 60


async def test_what_is_missing_is_told_and_nothing_is_created(made: Made) -> None:
    service = (await made.make()).service
    with pytest.raises(NotFoundError, match='Eval with id "x" not found'):
        await service.create_runs("x")
    connector, scenario = made.connector.id, made.refund.id
    for arguments, told in (
        (("x", connector), 'Scenario with id "x" not found'),
        ((scenario, "x"), 'Connector with id "x" not found'),
        ((scenario, connector, "x"), 'Persona with id "x" not found'),
    ):
        with pytest.raises(NotFoundError, match=told):
            await service.create_playground_run(*arguments)
    assert await service.list_runs() == []
    assert await service.list_executions() == []


@pytest.mark.parametrize(
    "options",
    [
        {"priority": 2**31},
        {"priority": True},
        {"not_before": float("nan")},
        {"not_before": float("inf")},
        {"not_before": "tomorrow"},
        {"max_attempts": 0},
        {"max_attempts": 2**31},
        {"execution_name": ""},
        {"execution_name": "a\0b"},
        {"execution_name": "\ud800"},
    ],
)
async def test_options_that_no_queue_can_go_by_are_refused(made: Made, options: dict[str, Any]) -> None:
    service = (await made.make()).service
    with pytest.raises(ConfigurationError, match=next(iter(options)).removesuffix("_name")):
        await service.create_runs(made.eval.id, **options)
    assert await service.list_runs() == []
    assert await service.list_executions() == []


@pytest.mark.parametrize("text", ["a\0b", "\ud800", "' OR 1=1 --", "x" * 100_000])
async def test_ids_that_no_database_has_name_nothing(service: RunService, text: str) -> None:
    for ask in (service.get_run, service.get_eval, service.get_scenario_by_name, service.retry_run):
        assert await ask(text) is None
    assert await service.delete_run(text) is False
    assert await service.cancel_runs(text) == Cancelled(unknown=(text,))
    assert await service.list_runs(eval_id=text) == []
    with pytest.raises(NotFoundError):
        await service.create_runs(text)


async def test_a_playground_run_has_a_connector_and_no_eval(made: Made) -> None:
    service = (await made.make()).service
    run = await service.create_playground_run(made.refund.id, made.connector.id, made.pat.id)
    assert (run.eval_id, run.execution_id, run.connector_id) == (None, None, made.connector.id)
    assert (run.scenario_id, run.persona_id, run.status) == (made.refund.id, made.pat.id, "queued")
    without = await service.create_playground_run(made.refund.id, made.connector.id)
    assert without.persona_id is None


async def test_a_run_from_its_creation_to_its_result(made: Made, agent: HttpAgents) -> None:
    service = (await made.make()).service
    await service.create_runs(made.eval.id)
    await carry_out(service, {"law": ScriptedModel([evaluation(True)] * 3)})
    runs = await service.list_runs()
    for run in runs:
        assert run.status == "completed"
        assert run.result is not None
        assert (run.result.success, run.result.score, run.result.reason) == (True, 0.9, "in short")
        roles = [message["role"] for message in run.messages]
        assert roles == ["system", "user", "assistant"]
        assert "A refund." in str(run.messages[0].get("content"))
        assert run.metadata["latency_ms"] >= 0
        assert run.metadata["token_usage"]["input"] >= 12
        assert run.metadata["token_usage_by_role"]["agent"] == {"input": 12, "output": 7}
        assert run.output is not None
        assert run.output["message_count"] == 2
        assert run.output["evaluation"]["success_met"] is True
        assert run.output.keys() >= {"avg_latency_ms", "total_latency_ms"}
        assert run.started_at is not None
        assert run.completed_at is not None
        assert await service.get_run(run.id) == run
    # The system message is not sent; the credentials are, and those of the persona count.
    assert all([message["role"] for message in asked.body["messages"]] == ["user"] for asked in agent.asked)
    keys = {asked.headers.get("x-api-key", asked.headers.get("X-Api-Key")) for asked in agent.asked}
    assert keys == {"abc123def456"}
    authorised = [asked.headers.get("authorization", asked.headers.get("Authorization")) for asked in agent.asked]
    assert authorised.count(SECRET) == 1
    data = runs[0].as_data()
    assert data["result"] == {"success": True, "score": 0.9, "reason": "in short"}
    assert datetime.fromisoformat(data["created_at"]).tzinfo is UTC
    assert json.loads(json.dumps(data)) == data


async def test_no_credential_is_in_the_database_but_with_its_connector(made: Made) -> None:
    service = (await made.make()).service
    await service.create_runs(made.eval.id)
    await carry_out(service, {"law": ScriptedModel([evaluation(True)] * 3)})
    tables = [name for name in snapshots.metadata.tables if name not in {"connectors", "personas"}]

    def everything(connection: Any) -> str:
        found = [connection.execute(snapshots.metadata.tables[name].select()).all() for name in tables]
        return repr(found)

    kept = await service.database.read(everything)
    assert "abc123def456" not in kept
    assert SECRET.rpartition(" ")[2] not in kept


async def test_without_a_model_the_agent_is_asked_once(made: Made, agent: HttpAgents) -> None:
    service = (await made.make(model=None)).service
    await service.create_runs(made.eval.id)
    await carry_out(service)
    runs = await service.list_runs()
    assert [run.status for run in runs] == ["completed"] * 3
    assert {run.outcome for run in runs} == {"undecided"}
    assert {run.reason for run in runs} == {ONE_TURN}
    assert [run.result.success for run in runs if run.result] == [False] * 3
    assert len(agent.asked) == 3
    assert [message["role"] for message in runs[0].messages] == ["system", "user", "assistant"]


async def test_without_a_model_checks_still_decide(made: Made) -> None:
    check = {"type": "contains", "params": {"patterns": ["Of course"]}}
    service = (await made.make(model=None, checks=[check])).service
    await service.create_runs(made.eval.id)
    await carry_out(service)
    assert {run.outcome for run in await service.list_runs()} == {"pass"}


@pytest.mark.parametrize(
    ("model", "scenario", "told"),
    [
        ("law", {"success_criteria": None}, NO_CRITERIA),
        (None, {"messages": None}, "has no user message to begin with"),
    ],
)
async def test_what_cannot_be_carried_out_ends_as_an_error(
    made: Made, model: str | None, scenario: Mapping[str, Any], told: str
) -> None:
    fields = {name: value for name, value in scenario.items() if value is not None}
    service = (await made.make(model=model)).service
    for id_ in (made.refund.id, made.greeting.id):
        await service.update_scenario(id_, **dict.fromkeys(scenario), **fields)
    await service.create_runs(made.eval.id)
    await carry_out(service)
    for run in await service.list_runs():
        assert (run.status, run.outcome, run.result) == ("error", "error", None)
        assert told in (run.error or "")


async def test_an_agent_that_fails_is_an_error_and_only_that_can_be_retried(made: Made, agent: HttpAgents) -> None:
    service = (await made.make()).service
    run = await service.create_playground_run(made.greeting.id, made.connector.id)
    told = 'Cannot retry run with status "queued". Only runs with system errors can be retried.'
    with pytest.raises(StoreConflictError) as caught:
        await service.retry_run(run.id)
    assert str(caught.value) == told
    good = agent.more["/chat"]
    agent.more["/chat"] = lambda asked: Reply({"detail": "boom"}, 500)
    await carry_out(service, {"law": ScriptedModel([])})
    failed = await service.get_run(run.id)
    assert failed is not None
    assert (failed.status, failed.outcome, failed.result) == ("error", "error", None)
    assert "HTTP 500" in (failed.error or "")
    again = await service.retry_run(run.id)
    assert again is not None
    assert (again.id, again.status, again.error, again.outcome) == (run.id, "queued", None, None)
    assert (again.messages, again.metadata, again.output) == ((), {}, None)
    assert (again.started_at, again.completed_at) == (None, None)
    assert again.thread_id not in {None, failed.thread_id}
    agent.more["/chat"] = good
    await carry_out(service, {"law": ScriptedModel([evaluation(True)])})
    passed = await service.get_run(run.id)
    assert passed is not None
    assert passed.outcome == "pass"
    with pytest.raises(StoreConflictError, match='with status "completed"'):
        await service.retry_run(run.id)
    assert await service.retry_run("nowhere") is None


async def test_processing_one_run_takes_that_one_and_not_the_oldest(made: Made, agent: HttpAgents) -> None:
    service = (await made.make()).service
    waiting = await service.create_runs(made.eval.id, priority=9)
    run = await service.create_playground_run(made.greeting.id, made.connector.id)
    processor = RunProcessor(service.database, models={"law": ScriptedModel([evaluation(True)])}, max_concurrent=1)
    assert await processor.process_run(run.id) is True
    assert await processor.process_run(run.id) is False
    done = await service.get_run(run.id)
    assert done is not None
    assert (done.status, done.outcome, done.attempts) == ("completed", "pass", 1)
    assert {item.status for item in await service.list_runs(eval_id=made.eval.id)} == {"queued"}
    assert len(waiting) == 3
    assert len(agent.asked) == 1


async def test_langgraph_has_a_thread_for_each_run_and_a_new_one_for_a_retry(made: Made, agent: HttpAgents) -> None:
    service = (await made.make(model=None)).service
    threads: list[str] = []

    def graph(asked: Any) -> Reply:
        threads.append(asked.path.split("/")[2])
        return Reply({"detail": "boom"}, 500)

    connector = await service.create_connector(name="graph", type="langgraph", base_url=agent.url)
    run = await service.create_playground_run(made.greeting.id, connector.id)
    agent.more[f"/threads/{run.id}/runs/wait"] = graph
    await carry_out(service)
    again = await service.retry_run(run.id)
    assert again is not None
    agent.more[f"/threads/{again.thread_id}/runs/wait"] = graph
    await carry_out(service)
    assert threads == [run.id, again.thread_id]


async def test_lists_and_their_orders(made: Made) -> None:
    service = (await made.make()).service
    first = await service.create_runs(made.eval.id)
    second = await service.create_runs(made.eval.id)
    playground = await service.create_playground_run(made.greeting.id, made.connector.id, made.kim.id)
    every = [*first, *second, playground]
    ids = [run.id for run in every]

    def of(runs: Sequence[StoredRun]) -> list[str]:
        return [run.id for run in runs]

    assert of(await service.list_runs()) == ids
    assert of(await service.list_runs(status="queued", limit=4)) == ids[:4]
    assert of(await service.list_runs(limit=4, after=every[3].number)) == ids[4:]
    assert of(await service.list_runs(status="running")) == []
    assert of(await service.list_runs(execution_id=second[0].execution_id)) == of(second)
    assert of(await service.list_runs_by_eval(made.eval.id)) == of([*first, *second])[::-1]
    assert of(await service.list_runs_by_eval(made.eval.id, limit=2)) == of(second)[:0:-1]
    assert of(await service.list_runs_by_scenario(made.greeting.id)) == [playground.id, second[2].id, first[2].id]
    assert of(await service.list_runs_by_persona(made.kim.id)) == [playground.id, second[1].id, first[1].id]
    for options in ({"limit": 0}, {"status": "sleeping"}):
        with pytest.raises(ConfigurationError):
            await service.list_runs(**options)


@pytest.mark.parametrize(
    ("changes", "field", "value"),
    [
        ({"status": "running"}, "status", QueueStatus.RUNNING),
        ({"started_at": 12.5}, "started_at", 12.5),
        ({"started_at": "1970-01-01T00:01:00Z"}, "started_at", 60.0),
        ({"completed_at": datetime(1970, 1, 1, 0, 2, tzinfo=UTC)}, "completed_at", 120.0),
        ({"messages": [{"role": "user", "content": "\0 ☂"}]}, "messages", [{"role": "user", "content": "\0 ☂"}]),
        ({"output": {"answer": 42}}, "output", {"answer": 42}),
        ({"error": "Connection timeout"}, "error", "Connection timeout"),
        ({"metadata": {"latency_ms": 1500, "mine": [1]}}, "metadata", {"latency_ms": 1500, "mine": [1]}),
        ({"thread_id": "t-1"}, "thread_id", "t-1"),
    ],
)
async def test_a_change_changes_the_field_that_it_names(
    made: Made, changes: dict[str, Any], field: str, value: Any
) -> None:
    service = (await made.make()).service
    run = await service.create_playground_run(made.greeting.id, made.connector.id)
    whole: dict[str, Any] = {
        "status": "completed",
        "started_at": 1.0,
        "completed_at": 2.0,
        "messages": [{"role": "user", "content": "Hello"}],
        "output": {"a": 1},
        "result": {"success": True, "score": 0.95, "reason": "good"},
        "metadata": {"latency_ms": 1},
        "thread_id": "t-0",
    }
    before = await service.update_run(run.id, **whole)
    after = await service.update_run(run.id, **changes)
    assert before is not None
    assert after is not None
    assert before.result is not None
    assert (before.result.success, before.result.score, before.result.reason) == (True, 0.95, "good")
    assert getattr(after, field) == value
    names = set(whole) - {field} | {"id", "eval_id", "scenario_id", "error", "priority"} - {field}
    names -= {"result"} if field == "status" else set()
    assert {name: getattr(after, name) for name in names} == {name: getattr(before, name) for name in names}
    cleared = await service.update_run(run.id, **({field: None} if field != "status" else {"result": None}))
    assert cleared is not None
    assert not getattr(cleared, "result" if field == "status" else field)


@pytest.mark.parametrize(
    "changes",
    [
        {"colour": "red"},
        {"status": "sleeping"},
        {"result": {"success": "yes"}},
        {"result": {"success": True, "score": 7}},
        {"result": {"success": True, "colour": 1}},
        {"started_at": "yesterday"},
        {"messages": "hello"},
        {"metadata": [1]},
        {"error": 3},
        {"priority": "high"},
        {"priority": 2**31},
        {"started_at": float("nan")},
        {"completed_at": 1e300},
    ],
)
async def test_a_change_that_makes_no_sense_changes_nothing(made: Made, changes: dict[str, Any]) -> None:
    service = (await made.make()).service
    run = await service.create_playground_run(made.greeting.id, made.connector.id)
    with pytest.raises(ConfigurationError):
        await service.update_run(run.id, thread_id="t-1", **changes)
    assert await service.get_run(run.id) == run
    assert await service.update_run("nowhere", error="x") is None


async def test_a_run_that_somebody_else_finishes_is_taken_from_its_worker(made: Made) -> None:
    service = (await made.make()).service
    run = await service.create_playground_run(made.greeting.id, made.connector.id)
    await service.database.queue.register(worker_record())
    [claimed] = await service.database.queue.claim("worker", 1)
    done = await service.update_run(run.id, status="completed", result={"success": True})
    assert done is not None
    assert (done.status, done.owner) == ("completed", None)
    beat = await service.database.queue.heartbeat("worker", [claimed])
    assert beat.lost == {run.id}


async def test_a_run_that_is_under_way_shows_its_conversation_so_far(
    made: Made, agent: HttpAgents, tmp_path: Path
) -> None:
    import duologue

    service = (await made.make()).service
    run = await service.create_playground_run(made.greeting.id, made.connector.id, made.kim.id)
    await service.database.queue.register(worker_record())
    [claimed] = await service.database.queue.claim("worker", 1)
    begun = await service.get_run(run.id)
    assert begun is not None
    assert [message["role"] for message in begun.messages] == ["system"]
    seen: list[list[str]] = []

    class Bot(duologue.AgentAdapter):
        async def call(self, input: duologue.AgentInput) -> str:
            found = await service.get_run(run.id)
            assert found is not None
            seen.append([str(message.get("content")) for message in found.messages])
            return "yes"

    journal = await Journals(service.database, FolderArtifacts(tmp_path)).open(claimed)
    script = [duologue.user("one"), duologue.agent(), duologue.user("two"), duologue.agent(), duologue.succeed()]
    await duologue.ScenarioExecutor(
        "s", "d", [Bot(), duologue.testing.ScriptedUserAgent([])], script, recorded_in=journal
    ).run()
    assert [messages[1:] for messages in seen] == [["one"], ["one", "yes", "two"]]
    assert all("kim" in messages[0] for messages in seen)


async def test_deleting(made: Made, service: RunService) -> None:
    await made.make()
    runs = await service.create_runs(made.eval.id)
    playground = await service.create_playground_run(made.greeting.id, made.connector.id)
    assert await service.delete_run(runs[0].id) is True
    assert await service.delete_run(runs[0].id) is False
    assert await service.delete_runs_by_eval(made.eval.id) == 2
    assert await service.delete_runs_by_eval(made.eval.id) == 0
    await service.create_runs(made.eval.id)
    assert await service.delete_eval(made.eval.id) is True
    assert [run.id for run in await service.list_runs()] == [playground.id]


async def test_cancelling_a_run_that_no_worker_has(made: Made) -> None:
    service = (await made.make()).service
    run = await service.create_playground_run(made.greeting.id, made.connector.id)
    await service.update_run(run.id, status="running")
    assert await service.cancel_runs(run.id) == Cancelled(cancelled=(run.id,))
    found = await service.get_run(run.id)
    assert found is not None
    assert found.status == "cancelled"


async def test_cancelling_a_run_that_waits(made: Made, service: RunService) -> None:
    await made.make()
    runs = await service.create_runs(made.eval.id)
    done = await service.cancel_runs(runs[0].id, "nowhere")
    assert done.cancelled == (runs[0].id,)
    assert [run.status for run in await service.list_runs()] == ["cancelled", "queued", "queued"]


async def test_a_change_of_what_a_run_was_made_from_changes_nothing_about_it(made: Made, agent: HttpAgents) -> None:
    service = (await made.make()).service
    await service.create_runs(made.eval.id)
    await service.update_scenario(made.refund.id, messages=[{"role": "user", "content": "Something else."}])
    await service.update_connector(made.connector.id, config={"path": "/nowhere"})
    await service.update_eval(made.eval.id, scenario_ids=[made.greeting.id])
    await service.update_project(settings={"evaluation_model": "openai/another"})
    await carry_out(service, {"law": ScriptedModel([evaluation(True)] * 3)})
    assert {run.outcome for run in await service.list_runs()} == {"pass"}
    assert [asked.body["messages"][0]["content"] for asked in agent.asked] == ["I want a refund."] * 3


async def test_an_eval_of_an_agent_runs_the_version_that_was_published(service: RunService) -> None:
    prompt = {"name": "p", "task": "help", "system_template": "Be kind."}
    draft = {"agent": {"name": "bot", "model": "brain", "prompt": "help"}, "prompts": [prompt]}
    agent = await service.create_agent({**draft, "models": [{"name": "brain", "provider": "mock"}]})
    hello = [{"role": "user", "content": "Hello"}]
    check = {"type": "contains", "params": {"patterns": ["."]}}
    scenario = await service.create_scenario(name="s", messages=hello, max_messages=2, checks=[check])
    made = await service.create_eval(name="e", scenario_ids=[scenario.id], agent_id=agent.id)
    with pytest.raises(NotFoundError, match="was never published"):
        await service.create_runs(made.id)
    await service.publish_agent(agent.id)
    await service.update_agent(agent.id, prompts=[{**prompt, "system_template": "Be rude."}])
    [run] = await service.create_runs(made.id)
    assert (run.agent_id, run.agent_version) == (agent.id, 1)
    await carry_out(service)
    found = await service.get_run(run.id)
    assert found is not None
    assert found.status == "completed"


async def test_input_messages_and_trials_of_an_eval(made: Made, agent: HttpAgents) -> None:
    service = (await made.make()).service
    more = [{"role": "assistant", "content": "Why?"}, {"role": "user", "content": "It is broken."}]
    await service.update_eval(made.eval.id, scenario_ids=[made.greeting.id], input=more, trials=2)
    runs = await service.create_runs(made.eval.id)
    assert [run.case.trial for run in runs] == [1, 2]
    await carry_out(service, {"law": ScriptedModel([evaluation(True)] * 2)})
    sent = [[message["content"] for message in asked.body["messages"]] for asked in agent.asked]
    assert sent == [["I want a refund.", "Why?", "It is broken."]] * 2


def test_a_program_without_an_event_loop_does_the_same(tmp_path: Path, agent: HttpAgents) -> None:
    with SyncRunService.open(tmp_path / "runs.db") as service:
        scenario = service.create_scenario(name="s", description="d", success_criteria="x")
        connector = service.create_connector(name="c", type="http", base_url=agent.url, config={"path": "/chat"})
        made = service.create_eval(name="e", scenario_ids=[scenario.id], connector_id=connector.id)
        [run] = service.create_runs(made.id)
        assert service.get_run(run.id) == run
        assert service.test_connector(connector.id).success
    with SyncRunService.open(tmp_path / "runs.db", project="default") as service:
        assert service.list_runs() == [run]
    with pytest.raises(NotFoundError, match="known: 'default'"), SyncRunService.open(tmp_path / "runs.db", project="x"):
        pass


async def test_functions_work_on_a_store_by_its_address(tmp_path: Path) -> None:
    from duologue import runs as api

    where = tmp_path / "runs.db"
    async with api.RunService.open(where) as service:
        scenario = await service.create_scenario(name="s", description="d", success_criteria="x")
        connector = await service.create_connector(name="c", type="http", base_url="http://127.0.0.1:9")
        made = await service.create_eval(name="e", scenario_ids=[scenario.id], connector_id=connector.id)
    [run] = await api.create_runs(made.id, store=where)
    assert await api.get_run(run.id, store=where) == run
    changed = await api.update_run(run.id, status="error", error="x", store=where)
    assert changed is not None
    again = await api.retry_run(run.id, store=where)
    assert again is not None
    assert again.status == "queued"
    assert await api.list_runs(store=where, status="queued") == [again]
    assert await api.delete_runs_by_eval(made.id, store=where) == 1
