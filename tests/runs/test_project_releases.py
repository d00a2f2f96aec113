"""Baselines, environments, the gate and deployments: which execution decides, what a webhook is sent, what is kept."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from loopback import Answer, LoopbackServer, loopback_server
from queued_runs import add_projects, put

from duologue.errors import ConfigurationError, NotFoundError, StoreConflictError
from duologue.journal import FolderArtifacts
from duologue.runs.project_access import UsualPolicy
from duologue.runs.project_releases import gate_result
from duologue.runs.secrets import SecretStore
from duologue.runs.service import RunService
from duologue.runs.store.calls import FetchedSoFar, PlatformCall
from duologue.runs.store.database.calls import Calls
from duologue.runs.store.database.definitions import SavedDefinitions
from duologue.runs.store.database.engine import Database
from duologue.runs.store.database.environments import DecidingExecution
from duologue.runs.store.database.project_export import export_project
from duologue.runs.store.database.project_import import import_project
from duologue.runs.store.definitions import AgentDraft, Eval, EvalSpec, SavedAgent
from duologue.runs.store.records import StoredExecution
from duologue.runs.webhooks import signature_of
from duologue.suites.plan.build import Plan, TestCase
from duologue.suites.results.execution import Allowance, ExecutionResult
from duologue.suites.results.run import RunResult
from duologue.vocabulary import RunStatus, Verdict

on_sqlite = pytest.mark.parametrize("where", ["sqlite"], indirect=True)
"""What no database does otherwise."""
AGENT = {"agent": {"name": "shop", "model": "openai/x"}, "prompts": [{"name": "p", "system_template": "Sell."}]}


@pytest.fixture
async def service(database: Database) -> RunService:
    return await of_project(database, "p")


async def of_project(database: Database, name: str) -> RunService:
    project = await SavedDefinitions(database).get_project(name)
    assert project is not None
    return RunService(database, project)


@pytest.fixture
def receiver() -> Iterator[LoopbackServer]:
    with loopback_server(lambda asked: Answer(body={"taken": True})) as running:
        yield running


class Shop:
    """An agent with a version, and an eval of it with two scenarios."""

    def __init__(self, service: RunService, agent_id: str, eval_id: str) -> None:
        self.service, self.agent_id, self.eval_id = service, agent_id, eval_id

    async def execution(self, *outcomes: str | None, eval_id: str | None = None) -> int:
        """An execution of the newest version whose runs ended so; None for one that still waits."""
        made = await self.service.create_runs(eval_id or self.eval_id)
        for run, outcome in zip(made, outcomes, strict=True):
            changes: dict[str, Any] = {
                "pass": {"status": "completed", "result": {"success": True}},
                "fail": {"status": "completed", "result": {"success": False}},
                "error": {"status": "error", "error": "no route"},
                "cancelled": {"status": "cancelled"},
            }.get(outcome or "", {})
            if changes:
                await self.service.update_run(run.id, **changes)
        number = made[0].execution_id
        assert number is not None
        return number


@pytest.fixture
async def shop(service: RunService) -> Shop:
    agent = await service.create_agent(AGENT)
    await service.publish_agent(agent.id, note="first")
    ids = [
        (await service.create_scenario(name=name, description="d", turns=[{"content": "hi"}], checks=[_CHECK])).id
        for name in ("one", "two")
    ]
    eval_ = await service.create_eval(name="nightly", scenario_ids=ids, agent_id=agent.id)
    return Shop(service, agent.id, eval_.id)


_CHECK = {"type": "contains", "params": {"patterns": ["hi"]}}


class TestBaselines:
    async def test_a_name_means_one_execution_of_an_eval_and_is_moved(self, service: RunService, shop: Shop) -> None:
        first = await service.set_baseline(await shop.execution("pass", "fail"))
        assert (first.name, first.eval_id, first.agent_id, first.agent_version) == (
            "default",
            shop.eval_id,
            shop.agent_id,
            1,
        )
        number = await shop.execution("pass", "pass")
        moved = await service.set_baseline(number)
        assert (moved.id, moved.created_at, moved.execution_id) == (first.id, first.created_at, number)
        named = await service.set_baseline(number, name="release 1")
        assert await service.list_baselines(eval_id=shop.eval_id) == [moved, named]
        assert await service.list_baselines(limit=1) == [moved]
        assert await service.list_baselines(limit=1, after=moved.id) == [named]
        assert await service.find_baseline(shop.eval_id, name="release 1") == named
        assert await service.get_baseline(named.id) == named
        assert await service.delete_baseline(named.id)
        assert not await service.delete_baseline(named.id)
        assert await service.get_execution(number) is not None

    @pytest.mark.parametrize(
        ("outcomes", "why"),
        [(("pass", None), "not over: 1 of its runs"), (("error", "cancelled"), "no completed run")],
    )
    @on_sqlite
    async def test_what_cannot_be_compared_with_is_no_baseline(
        self, service: RunService, shop: Shop, outcomes: tuple[str | None, ...], why: str
    ) -> None:
        with pytest.raises(StoreConflictError, match=why):
            await service.set_baseline(await shop.execution(*outcomes))

    @on_sqlite
    async def test_a_baseline_of_another_project_is_not_found(
        self, service: RunService, shop: Shop, database: Database
    ) -> None:
        number = await shop.execution("pass", "pass")
        made = await service.set_baseline(number)
        other = await of_project(database, "q")
        assert await other.get_baseline(made.id) is None
        assert await other.list_baselines() == []
        assert not await other.delete_baseline(made.id)
        with pytest.raises(NotFoundError):
            await other.set_baseline(number)

    @pytest.mark.parametrize("name", ["", " ", "x" * 201])
    @on_sqlite
    async def test_a_name_has_to_be_one(self, service: RunService, shop: Shop, name: str) -> None:
        number = await shop.execution("pass", "pass")
        with pytest.raises(ConfigurationError, match="name of a baseline"):
            await service.set_baseline(number, name=name)

    @on_sqlite
    async def test_a_baseline_goes_with_its_execution(self, service: RunService, shop: Shop) -> None:
        await service.set_baseline(await shop.execution("pass", "pass"))
        await service.delete_eval(shop.eval_id)
        assert await service.list_baselines() == []


class TestGate:
    @pytest.mark.parametrize(
        ("outcomes", "passed"),
        [
            (("pass", "pass"), True),
            (("pass", "fail"), False),
            (("pass", "error"), False),
            (("error", "error"), False),
        ],
    )
    @on_sqlite
    async def test_every_run_of_the_newest_execution_has_to_pass(
        self, service: RunService, shop: Shop, outcomes: tuple[str, ...], passed: bool
    ) -> None:
        number = await shop.execution(*outcomes)
        gate = await service.check_gate(shop.agent_id, shop.eval_id)
        assert (gate.passed, gate.execution_id, gate.agent_version) == (passed, number, 1)
        assert f"{outcomes.count('pass')} of 2 test cases passed" in gate.reason
        assert any("error" in note for note in gate.notes) == ("error" in outcomes)

    @on_sqlite
    async def test_without_an_execution_nothing_passes(self, service: RunService, shop: Shop) -> None:
        gate = await service.check_gate(shop.agent_id, shop.eval_id)
        assert (gate.passed, gate.execution_id) == (False, None)
        assert "no execution of version 1 of the agent 'shop' with the eval 'nightly' is over" in gate.reason

    @on_sqlite
    async def test_an_older_version_does_not_vouch_for_a_newer_one(self, service: RunService, shop: Shop) -> None:
        await shop.execution("pass", "pass")
        await service.update_agent(shop.agent_id, prompts=[{"name": "p", "system_template": "Sell more."}])
        await service.publish_agent(shop.agent_id)
        assert not (await service.check_gate(shop.agent_id, shop.eval_id)).passed
        assert (await service.check_gate(shop.agent_id, shop.eval_id, version=1)).passed

    @pytest.mark.parametrize("newer", [("pass", None), ("pass", "cancelled")])
    async def test_what_is_not_over_does_not_decide_and_is_named(
        self, service: RunService, shop: Shop, newer: tuple[str | None, ...]
    ) -> None:
        number = await shop.execution("pass", "pass")
        later = await shop.execution(*newer)
        gate = await service.check_gate(shop.agent_id, shop.eval_id)
        assert (gate.passed, gate.execution_id) == (True, number)
        assert str(later) in gate.notes[0]

    @on_sqlite
    async def test_a_newer_failure_outweighs_an_older_pass(self, service: RunService, shop: Shop) -> None:
        await shop.execution("pass", "pass")
        await shop.execution("fail", "pass")
        assert not (await service.check_gate(shop.agent_id, shop.eval_id)).passed

    @on_sqlite
    async def test_what_is_not_there_is_an_error_and_not_a_verdict(
        self, service: RunService, shop: Shop, database: Database
    ) -> None:
        with pytest.raises(NotFoundError, match="no version 7"):
            await service.check_gate(shop.agent_id, shop.eval_id, version=7)
        with pytest.raises(NotFoundError, match="Eval"):
            await service.check_gate(shop.agent_id, "gone")
        with pytest.raises(ConfigurationError, match="no eval is named"):
            await service.check_gate(shop.agent_id)
        new = await service.create_agent(AGENT, name="new")
        with pytest.raises(NotFoundError, match="never published"):
            await service.check_gate(new.id, shop.eval_id)
        with pytest.raises(NotFoundError, match="Agent"):
            await (await of_project(database, "q")).check_gate(shop.agent_id, shop.eval_id)


class TestDeployments:
    async def test_a_version_that_passed_is_told_and_kept(
        self, service: RunService, shop: Shop, receiver: LoopbackServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("HOOK_TOKEN", "t0ken-4711-abcdef")
        monkeypatch.setenv("HOOK_SECRET", "s3cret-0815-abcdef")
        place = await service.create_environment(
            name="live",
            platform="retell",
            platform_agent_id="agent_1",
            agent_id=shop.agent_id,
            eval_id=shop.eval_id,
            webhook_url=f"{receiver.url}/hook",
            headers={"Authorization": "Bearer ${HOOK_TOKEN}"},
            signing_secret="HOOK_SECRET",
            allow_private_addresses=True,
        )
        refused, gate = await service.deploy(place.id)
        assert gate is not None
        assert (refused.status, refused.message) == ("refused", gate.reason)
        assert receiver.asked == []

        number = await shop.execution("pass", "pass")
        done, _ = await service.deploy(place.id)
        assert (done.status, done.execution_id, done.agent_version) == ("deployed", number, 1)
        assert done.message.startswith("HTTP 200")
        [asked] = receiver.asked
        assert asked.headers["authorization"] == "Bearer t0ken-4711-abcdef"
        body = asked.raw.decode()
        expected = hmac.new(
            b"s3cret-0815-abcdef", f"{asked.headers['x-duologue-timestamp']}.{body}".encode(), hashlib.sha256
        )
        assert asked.headers["x-duologue-signature"] == f"v1={expected.hexdigest()}"
        told = json.loads(body)
        assert (told["deployment_id"], told["agent"]["version"], told["gate"]["passed"]) == (done.id, 1, True)
        assert told["agent"]["definition"]["prompts"][0]["system_template"] == "Sell."
        assert [item.status for item in await service.list_deployments(environment_id=place.id)] == [
            "deployed",
            "refused",
        ]

    @pytest.mark.parametrize(
        ("answer", "why"),
        [
            (Answer(body={"no": 1}, status=500), "HTTP 500"),
            (Answer(status=302, headers={"Location": "http://127.0.0.1:9/"}), "redirects are not followed"),
            (Answer(status=404), "HTTP 404"),
        ],
    )
    @on_sqlite
    async def test_a_webhook_that_is_not_taken_is_a_failed_deployment(
        self, service: RunService, shop: Shop, receiver: LoopbackServer, answer: Answer, why: str
    ) -> None:
        receiver.handle = lambda asked: answer
        place = await service.create_environment(
            name="live", webhook_url=f"{receiver.url}/hook", allow_private_addresses=True
        )
        done, gate = await service.deploy(place.id, shop.agent_id)
        assert (done.status, gate) == ("failed", None)
        assert why in done.message

    @on_sqlite
    async def test_a_private_address_is_called_only_where_that_is_allowed(
        self, service: RunService, shop: Shop, receiver: LoopbackServer
    ) -> None:
        place = await service.create_environment(name="live", webhook_url=f"{receiver.url}/hook")
        done, _ = await service.deploy(place.id, shop.agent_id)
        assert done.status == "failed"
        assert "allow_private_addresses" in done.message
        assert receiver.asked == []

    @on_sqlite
    async def test_nobody_listens(self, service: RunService, shop: Shop) -> None:
        place = await service.create_environment(
            name="live", webhook_url="http://127.0.0.1:9/hook", allow_private_addresses=True
        )
        done, _ = await service.deploy(place.id, shop.agent_id)
        assert done.status == "failed"

    @on_sqlite
    async def test_a_missing_variable_is_an_error_that_is_kept(self, service: RunService, shop: Shop) -> None:
        place = await service.create_environment(name="live", webhook_url="https://${NOWHERE_AT_ALL}/hook")
        with pytest.raises(ConfigurationError, match="NOWHERE_AT_ALL"):
            await service.deploy(place.id, shop.agent_id)
        assert [item.status for item in await service.list_deployments()] == ["failed"]

    @on_sqlite
    async def test_a_preview_sends_and_records_nothing(
        self, service: RunService, shop: Shop, receiver: LoopbackServer
    ) -> None:
        place = await service.create_environment(
            name="live",
            webhook_url=f"{receiver.url}/hook",
            headers={"Authorization": "Bearer ${HOOK_TOKEN}"},
            signing_secret="HOOK_SECRET",
        )
        shown = (await service.preview_deployment(place.id, shop.agent_id)).as_data()
        assert shown["headers"]["Authorization"] == "Bearer ${HOOK_TOKEN}"
        assert shown["body"]["agent"]["name"] == "shop"
        assert receiver.asked == []
        assert await service.list_deployments() == []

    @on_sqlite
    async def test_without_a_webhook_a_deployment_is_recorded(self, service: RunService, shop: Shop) -> None:
        place = await service.create_environment(name="live")
        done, _ = await service.deploy(place.id, shop.agent_id)
        assert done.status == "deployed"

    @pytest.mark.parametrize(
        ("fields", "why"),
        [
            ({"webhook_url": "https://h", "headers": {"Authorization": "Bearer sk-live-4f9a8b7c6d5e4f3a"}}, "headers"),
            ({"signing_secret": "X"}, "webhook_url"),
            ({"webhook_url": "https://h", "timeout": 600.0}, "timeout"),
            ({"platform": "fax"}, "platform"),
            ({"speed": 1}, "speed"),
        ],
    )
    @on_sqlite
    async def test_environments_that_cannot_be(self, service: RunService, fields: dict[str, Any], why: str) -> None:
        with pytest.raises(ConfigurationError, match=why):
            await service.create_environment(name="live", **fields)

    async def test_the_life_of_an_environment(self, service: RunService, shop: Shop, database: Database) -> None:
        made = await service.create_environment(name="live", agent_id=shop.agent_id)
        with pytest.raises(StoreConflictError, match="already exists"):
            await service.create_environment(name="live")
        with pytest.raises(NotFoundError):
            await service.create_environment(name="other", agent_id="gone")
        assert await service.get_environment_by_name("live") == made
        renamed = await service.update_environment(made.id, name="production", agent_id=None)
        assert renamed is not None
        assert (renamed.name, renamed.spec.agent_id) == ("production", None)
        other = await of_project(database, "q")
        assert await other.get_environment(made.id) is None
        assert await other.update_environment(made.id, name="x") is None
        assert not await other.delete_environment(made.id)
        assert [item.name for item in await service.list_environments()] == ["production"]
        assert await service.delete_environment(made.id)
        assert await service.get_environment(made.id) is None

    @on_sqlite
    async def test_an_environment_is_for_its_agent(self, service: RunService, shop: Shop) -> None:
        other = await service.create_agent(AGENT, name="other")
        await service.publish_agent(other.id)
        place = await service.create_environment(name="live", agent_id=shop.agent_id)
        with pytest.raises(ConfigurationError, match="for another agent"):
            await service.deploy(place.id, other.id)


def test_the_signature_is_that_of_the_documentation() -> None:
    """Computed with ``openssl dgst -sha256 -hmac``."""
    expected = hmac.new(b"key", b'1700000000.{"a":1}', hashlib.sha256).hexdigest()
    assert signature_of("key", "1700000000", '{"a":1}') == f"v1={expected}"


@on_sqlite
async def test_an_eval_with_metrics_passes_with_a_score_only(service: RunService, shop: Shop) -> None:
    metrics = [{"metric": "task_completion", "weight": 1.0}]
    config = {"cases_pass_threshold": 50.0, "judge": {"model": "openai/x", "metrics": metrics}}
    await service.update_eval(shop.eval_id, config=config)
    await shop.execution("pass", "fail")
    gate = await service.check_gate(shop.agent_id, shop.eval_id)
    assert (gate.passed, gate.required_pass_rate, gate.pass_rate, gate.required_metrics_score) == (False, 0.5, 0.5, 80)
    assert "the metrics come to none, 80 are required" in gate.reason


@pytest.mark.parametrize(
    ("needed", "score", "passed"),
    [
        (1.0, 85.0, False),
        (0.51, 85.0, False),
        (0.5, 85.0, True),
        (0.5, 80.0, True),
        (0.5, 79.9, False),
        (0.5, None, False),
        (0.0, 85.0, True),
    ],
)
def test_both_thresholds_decide(needed: float, score: float | None, passed: bool) -> None:
    cases = [TestCase(index=index, scenario=name) for index, name in enumerate(("one", "two"))]
    verdicts = (Verdict.PASS, Verdict.FAIL)
    result = ExecutionResult(
        id="x",
        suite="s",
        path="",
        plan=Plan(suite="s", cases=tuple(cases), seed=0),
        runs=tuple(
            RunResult(case=case, run_id=case.scenario, status=RunStatus.COMPLETED, verdict=verdict)
            for case, verdict in zip(cases, verdicts, strict=True)
        ),
        started_at=datetime.fromtimestamp(0, UTC),
        seconds=1.0,
        allowance=Allowance(pass_rate=needed),
        metrics_threshold=80.0,
    )
    enough = None if score is None else score >= 80
    result.__dict__["grading"] = SimpleNamespace(weighted_score=score, metrics_passed=enough)  # as if it were computed
    found = DecidingExecution(
        execution=StoredExecution(id=7, project_id="p", name="n"), outcomes={"pass": 1, "fail": 1}
    )
    agent = SavedAgent(id="a", project_id="p", name="shop", draft=AgentDraft.model_validate(AGENT))
    eval_ = Eval(
        id="e", project_id="p", name="nightly", scenario_ids=("s",), connector_id=None, spec=EvalSpec(agent_id="a")
    )
    gate = gate_result(agent, 1, eval_, found, result)
    assert (gate.passed, gate.metrics_score) == (passed, score)


@on_sqlite
async def test_everything_moves_with_its_project(service: RunService, shop: Shop, tmp_path: Path) -> None:
    place = await service.create_environment(name="live", agent_id=shop.agent_id)
    await service.create_metric(name="tact", description="d", rubric="5: tactful")
    await shop.execution("fail", "fail")
    number = await shop.execution("pass", "pass")
    await service.set_baseline(number, name="v1")
    await service.deploy(place.id, shop.agent_id, eval_id=shop.eval_id)
    source = await service.put_call_source("vapi", "agent_1", agent_id=shop.agent_id)
    call = PlatformCall(id="c", position=1.0, started_at=1.0, seconds=2.0, is_over=True, data={"said": "\ud83d"})
    await Calls(service.database).store_page(source, [call], FetchedSoFar(newest=1.0), 1.0)
    store = FolderArtifacts(tmp_path / "artifacts")
    await export_project(service.database, store, service.project.id, tmp_path / "p.jsonl")
    async with Database.open(tmp_path / "other.db", create=True) as database:
        await add_projects(database, "z")
        await put(database, "a", "b", project="z")
        await import_project(database, store, tmp_path / "p.jsonl")
        moved = await of_project(database, "p")
        [baseline] = await moved.list_baselines()
        there = await moved.get_execution(baseline.execution_id)
        before = await service.get_execution(number)
        assert there is not None
        assert before is not None
        assert (there.name, baseline.name) == (before.name, "v1")
        assert (await moved.check_gate(shop.agent_id, shop.eval_id)).passed
        [deployment] = await moved.list_deployments()
        assert (deployment.environment_id, deployment.execution_id) == (place.id, there.id)
        assert [item.name for item in await moved.list_metrics()] == ["tact"]
        [found] = await moved.list_calls()
        whole = await moved.get_call(found.id)
        assert whole is not None
        assert whole.data == {"said": "\ud83d"}
        assert [item.watermark for item in await moved.list_call_sources()] == [1.0]


@on_sqlite
async def test_where_others_define_things_only_secrets_are_filled_in(
    service: RunService, shop: Shop, receiver: LoopbackServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OF_THE_MACHINE", "t0ken-4711-abcdef")
    place = await service.create_environment(
        name="live",
        webhook_url=f"{receiver.url}/hook",
        headers={"X-Token": "${OF_THE_MACHINE}"},
        allow_private_addresses=True,
    )
    service.policy = UsualPolicy(guarded=True)
    with pytest.raises(ConfigurationError, match="OF_THE_MACHINE"):
        await service.deploy(place.id, shop.agent_id)
    await SecretStore(service.database).set_secret(service.project.id, "OF_THE_MACHINE", "s3cret-0815-abcdef")
    refused, _ = await service.deploy(place.id, shop.agent_id)
    assert (refused.status, receiver.asked) == ("failed", [])
    service.policy = UsualPolicy(guarded=True, private_addresses=True)
    done, _ = await service.deploy(place.id, shop.agent_id)
    assert done.status == "deployed"
    assert receiver.asked[0].headers["x-token"] == "s3cret-0815-abcdef"
