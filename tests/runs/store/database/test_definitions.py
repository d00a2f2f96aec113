"""What people define: unique names, changes of single fields, references, pages, and credentials that are not shown."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from duologue.errors import ConfigurationError, NotFoundError, StoreConflictError
from duologue.journal import FolderArtifacts
from duologue.runs.service import RunService
from duologue.runs.snapshots import Private
from duologue.runs.store.database.definitions import SavedDefinitions
from duologue.runs.store.database.engine import Database
from duologue.runs.store.database.project_export import export_project
from duologue.specs.agents import Persona
from duologue.specs.scenario import Scenario

SECRET = "Bearer sk-live-4f9a8b7c6d5e4f3a"
CONNECTOR: dict[str, Any] = {"type": "http", "base_url": "http://127.0.0.1:9"}
Make = Callable[[RunService, str], Awaitable[Any]]


@pytest.fixture
async def service(database: Database) -> RunService:
    project = await SavedDefinitions(database).get_project("p")
    assert project is not None
    return RunService(database, project)


async def an_eval(service: RunService, name: str = "e") -> Any:
    scenario = await service.create_scenario(name=f"s of {name}", description="d", success_criteria="x")
    connector = await service.create_connector(name=f"c of {name}", **CONNECTOR)
    return await service.create_eval(name=name, scenario_ids=[scenario.id], connector_id=connector.id)


MAKE: dict[str, Make] = {
    "persona": lambda service, name: service.create_persona(name=name, description="d"),
    "scenario": lambda service, name: service.create_scenario(name=name, description="d", success_criteria="x"),
    "connector": lambda service, name: service.create_connector(name=name, **CONNECTOR),
    "agent": lambda service, name: service.create_agent({"agent": {"name": name, "http": {"url": "http://h"}}}),
}


@pytest.mark.parametrize("what", MAKE)
async def test_the_life_of_a_definition(service: RunService, what: str) -> None:
    made = await MAKE[what](service, "one")
    get, listed = getattr(service, f"get_{what}"), getattr(service, f"list_{what}s")
    assert await get(made.id) == made
    assert await listed() == [made]
    with pytest.raises(StoreConflictError, match=rf'{what.title()} with name "one" already exists'):
        await MAKE[what](service, "one")
    other = await MAKE[what](service, "two")
    with pytest.raises(StoreConflictError, match="already exists"):
        await getattr(service, f"update_{what}")(other.id, name="one")
    renamed = await getattr(service, f"update_{what}")(other.id, name="three")
    assert renamed.name == "three"
    assert renamed.updated_at >= renamed.created_at
    assert await getattr(service, f"update_{what}")(other.id, name="three") is not None
    assert await getattr(service, f"delete_{what}")(made.id) is True
    assert await getattr(service, f"delete_{what}")(made.id) is False
    assert await get(made.id) is None
    assert await getattr(service, f"update_{what}")(made.id, name="x") is None


@pytest.mark.parametrize("what", MAKE)
async def test_pages_and_names(service: RunService, what: str) -> None:
    made = [await MAKE[what](service, f"n{number}") for number in range(5)]
    listed = getattr(service, f"list_{what}s")
    first = await listed(limit=2)
    second = await listed(limit=2, after=first[-1].id)
    third = await listed(limit=2, after=second[-1].id)
    assert [item.id for item in [*first, *second, *third]] == [item.id for item in made]
    assert await listed(after=made[-1].id) == []
    if what != "agent":
        assert await getattr(service, f"get_{what}_by_name")("n3") == made[3]
        assert await getattr(service, f"get_{what}_by_name")("nobody") is None
    with pytest.raises(ConfigurationError, match="limit is 0"):
        await listed(limit=0)
    with pytest.raises(NotFoundError, match="to continue after"):
        await listed(after="nowhere")


@pytest.mark.parametrize("what", MAKE)
async def test_another_project_sees_and_changes_nothing(service: RunService, database: Database, what: str) -> None:
    made = await MAKE[what](service, "one")
    project = await SavedDefinitions(database).get_project("q")
    assert project is not None
    other = RunService(database, project)
    assert await getattr(other, f"get_{what}")(made.id) is None
    assert await getattr(other, f"list_{what}s")() == []
    assert await getattr(other, f"update_{what}")(made.id, name="x") is None
    assert await getattr(other, f"delete_{what}")(made.id) is False
    assert (await MAKE[what](other, "one")).id != made.id
    assert await getattr(service, f"get_{what}")(made.id) == made


async def test_changes_change_the_fields_that_they_name_and_none_clears_one(service: RunService) -> None:
    persona = await service.create_persona(
        name="pat", description="impatient", language="German", headers={"X-User": "7"}, goals=["a", "b"]
    )
    changed = await service.update_persona(persona.id, description="calm")
    assert changed is not None
    assert changed.spec == Persona(
        name="pat", description="calm", language="German", headers={"X-User": "7"}, goals=("a", "b")
    )
    cleared = await service.update_persona(persona.id, language=None, goals=None)
    assert cleared is not None
    assert (cleared.spec.language, cleared.spec.goals, cleared.spec.description) == (None, (), "calm")
    with pytest.raises(ConfigurationError, match="moods"):
        await service.update_persona(persona.id, moods=["bad"])
    assert await service.get_persona(persona.id) == cleared


async def test_specs_can_be_given_whole_and_stay_in_their_order(service: RunService) -> None:
    variables = {"zebra": "1", "ant": "2", "mouse": "3"}
    spec = Scenario(name="s", description="d", variables=variables, labels={"z": "1", "a": "2"})
    made = await service.create_scenario(spec)
    found = await service.get_scenario(made.id)
    assert found is not None
    assert found.spec == spec
    assert list(found.spec.variables) == list(variables)


async def test_scenarios_have_personas_by_id_or_name_and_follow_their_names(service: RunService) -> None:
    pat, kim = await service.create_persona(name="pat"), await service.create_persona(name="kim")
    by_name = await service.create_scenario(name="a", success_criteria="x", personas=["kim", "pat"])
    by_id = await service.create_scenario(name="b", success_criteria="x", persona_ids=[pat.id, kim.id])
    assert by_name.persona_ids == (kim.id, pat.id)
    assert by_id.spec.personas == ("pat", "kim")
    await service.update_persona(kim.id, name="kimberly")
    found = await service.get_scenario(by_name.id)
    assert found is not None
    assert found.spec.personas == ("kimberly", "pat")
    changed = await service.update_scenario(by_name.id, goal="a refund")
    assert changed is not None
    assert changed.persona_ids == (kim.id, pat.id)
    fewer = await service.update_scenario(by_name.id, persona_ids=[pat.id])
    assert fewer is not None
    assert (fewer.spec.personas, fewer.spec.goal) == (("pat",), "a refund")
    with pytest.raises(NotFoundError, match='Persona with id "nobody" not found'):
        await service.update_scenario(by_name.id, persona_ids=["nobody"])
    with pytest.raises(NotFoundError, match='Persona with name "nobody" not found'):
        await service.create_scenario(name="c", success_criteria="x", personas=["nobody"])
    with pytest.raises(StoreConflictError, match=r"the persona 'pat' is used by the scenarios 'a', 'b'"):
        await service.delete_persona(pat.id)


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"name": "s"}, "turns, or a description"),
        ({"name": "", "description": "d"}, "name"),
        ({"name": "s", "description": "d", "max_messages": 0}, "max_messages"),
        ({"name": "s", "description": "d", "checks": [{"type": "containz"}]}, "containz"),
        ({"name": "s", "description": "d", "failure_criteria_mode": "never"}, "failure_criteria_mode"),
        ({"name": "s", "description": "d", "colour": "red"}, "colour"),
        ({"description": "d"}, "name"),
    ],
)
async def test_scenarios_that_cannot_be_used(service: RunService, fields: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigurationError, match=told):
        await service.create_scenario(**fields)
    assert await service.list_scenarios() == []


async def test_an_eval_names_what_exists_and_what_it_uses_stays(service: RunService) -> None:
    made = await an_eval(service)
    scenario_id, connector_id = made.scenario_ids[0], made.connector_id
    assert await service.get_eval(made.id) == made
    assert await service.get_eval_by_name("e") == made
    for changes, told in (
        ({"scenario_ids": []}, "At least one scenario is required"),
        ({"scenario_ids": ["x"]}, 'Scenario with id "x" not found'),
        ({"connector_id": "x"}, 'Connector with id "x" not found'),
        ({"agent_id": "x", "connector_id": None}, 'Agent with id "x" not found'),
        ({"connector_id": None}, "needs one of connector_id and agent_id"),
        ({"scenario_ids": [scenario_id, scenario_id]}, "a scenario twice"),
        ({"scenario_ids": scenario_id}, "expected a list of ids"),
        ({"trials": 0}, "trials"),
    ):
        with pytest.raises((ConfigurationError, NotFoundError), match=told):
            await service.update_eval(made.id, **changes)
    with pytest.raises(StoreConflictError, match=r"the scenario 's of e' is used by the eval 'e'"):
        await service.delete_scenario(scenario_id)
    with pytest.raises(StoreConflictError, match=r"the connector 'c of e' is used by the eval 'e'"):
        await service.delete_connector(connector_id)
    other = await service.create_scenario(name="t", description="d", success_criteria="x")
    changed = await service.update_eval(made.id, scenario_ids=[other.id, scenario_id], trials=3)
    assert changed is not None
    assert (changed.scenario_ids, changed.spec.trials, changed.name) == ((other.id, scenario_id), 3, "e")
    with pytest.raises(StoreConflictError, match='Eval with name "e" already exists'):
        await service.create_eval(name="e", scenario_ids=[other.id], connector_id=connector_id)
    assert await service.delete_eval(made.id) is True
    assert await service.delete_scenario(scenario_id) is True
    assert await service.delete_connector(connector_id) is True


async def test_credentials_of_connectors_are_kept_and_never_shown(service: RunService, database: Database) -> None:
    headers = {"Authorization": SECRET, "X-Tenant": "acme", "X-Api-Key": "${SHOP_KEY}"}
    made = await service.create_connector(
        name="bot", type="http", base_url="http://h/?api_key=abcdef123456", headers=headers
    )
    shown = {"Authorization": "***", "X-Tenant": "acme", "X-Api-Key": "${SHOP_KEY}"}
    changed = await service.update_connector(made.id, name="robot")
    seen = [made, await service.get_connector(made.id), changed, *(await service.list_connectors())]
    for item in seen:
        assert item is not None
        assert item.headers == shown
        assert "abcdef123456" not in item.base_url
        assert SECRET not in repr(item)
    assert changed is not None
    # What was shown can be sent back: what is hidden keeps its value.
    again = await service.update_connector(
        made.id, headers={**changed.headers, "X-New": "1"}, base_url=changed.base_url
    )
    assert again is not None
    private = Private(section="agents", name="robot", id=made.id, headers=("Authorization",), url=True)
    values = (await SavedDefinitions(database).private_values([private]))[made.id]
    assert values.headers == {**headers, "X-New": "1"}
    assert values.url == "http://h/?api_key=abcdef123456"
    await service.update_connector(made.id, headers={"Authorization": "Bearer new-token-123456"})
    values = (await SavedDefinitions(database).private_values([private]))[made.id]
    assert values.headers == {"Authorization": "Bearer new-token-123456"}


async def test_an_exported_project_has_no_credential(service: RunService, tmp_path: Path) -> None:
    headers = {"Authorization": SECRET, "X-User-Key": "k-12345678", "X-Api-Key": "${KEY:-literal-default-1}"}
    await service.create_connector(name="bot", type="http", base_url="http://h/?api_key=abcdef123456", headers=headers)
    await service.create_persona(name="pat", headers={"Cookie": "session=s3cr3t-value"})
    path = tmp_path / "project.jsonl"
    await export_project(service.database, FolderArtifacts(tmp_path / "bytes"), service.project.id, path)
    written = path.read_text()
    assert '"bot"' in written
    for secret in ("4f9a8b7c6d5e4f3a", "k-12345678", "literal-default-1", "abcdef123456", "s3cr3t-value"):
        assert secret not in written


async def test_credentials_of_personas_are_kept_and_never_shown(service: RunService) -> None:
    made = await service.create_persona(name="pat", headers={"Authorization": SECRET, "X-User": "7"})
    found = await service.get_persona(made.id)
    assert found is not None
    assert found.spec.headers == made.spec.headers == {"Authorization": "***", "X-User": "7"}
    kept = await service.update_persona(made.id, headers={"Authorization": "***", "X-User": "8"})
    assert kept is not None
    values = await SavedDefinitions(service.database).private_values(
        [Private(section="personas", name="pat", id=made.id)]
    )
    assert values[made.id].headers == {"Authorization": SECRET, "X-User": "8"}


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"type": "carrier-pigeon"}, "'carrier-pigeon'; expected"),
        ({"base_url": ""}, "expected a URL"),
        ({"config": {"method": "GET"}}, "method"),
        ({"config": {"colour": "red"}}, "colour"),
        ({"type": "langgraph", "config": {"assistant": "x"}}, "assistant"),
        ({"config": {"body": {"m": "{{messages}}", "token": SECRET}}}, "a credential in config.body.token"),
        ({"config": {"path": "/chat?api_key=4f9a8b7c6d5e4f3a2b1c"}}, "a credential in config.path"),
        ({"type": "langgraph", "config": {"configurable": {"keys": [{"api_key": SECRET}]}}}, r"keys\[0\].api_key"),
        ({"name": " "}, "expected 1 to 200 characters"),
    ],
)
async def test_connectors_that_cannot_be_used(service: RunService, fields: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigurationError, match=told):
        await service.create_connector(**{"name": "c", **CONNECTOR, **fields})
    assert await service.list_connectors() == []


async def test_what_only_looks_like_a_credential_may_be_configured(service: RunService) -> None:
    body = {"messages": "{{messages}}", "session_token": "{{thread_id}}", "max_tokens": 400}
    made = await service.create_connector(**{"name": "c", **CONNECTOR, "config": {"path": "/v1/chat", "body": body}})
    assert made.config["body"] == body


async def test_agents_are_published_rolled_back_and_compared(service: RunService) -> None:
    prompt = {"name": "p", "task": "help", "system_template": "Be kind."}
    draft = {"agent": {"name": "bot", "model": "openai/gpt-5-mini", "prompt": "help"}, "prompts": [prompt]}
    made = await service.create_agent(draft)
    assert (made.version, await service.list_agent_versions(made.id)) == (None, [])
    first = await service.publish_agent(made.id, note="the first")
    with pytest.raises(StoreConflictError, match="is the same as version 1"):
        await service.publish_agent(made.id)
    await service.update_agent(made.id, prompts=[{**prompt, "system_template": "Be brief."}])
    second = await service.publish_agent(made.id)
    assert (first.version, second.version) == (1, 2)
    changes = await service.diff_agent_versions(made.id, 1, 2)
    assert [(item.path, item.before, item.after) for item in changes] == [
        ("prompts[0].system_template", "Be kind.", "Be brief.")
    ]
    back = await service.roll_back_agent(made.id, 1)
    assert back.draft == first.draft
    assert await service.diff_agent_versions(made.id, 1) == []
    third = await service.publish_agent(made.id)
    assert (third.version, third.draft) == (3, first.draft)
    assert await service.get_agent_version(made.id, 2) == second
    assert [item.version for item in await service.list_agent_versions(made.id)] == [3, 2, 1]
    with pytest.raises(NotFoundError, match="has no version 9"):
        await service.roll_back_agent(made.id, 9)
    with pytest.raises(ConfigurationError, match=r"models\[m\]\.credential\.api_key holds a credential"):
        await service.update_agent(
            made.id, models=[{"name": "m", "provider": "openai", "credential": {"api_key": "sk-abcdef1234567890"}}]
        )
    scenario = await service.create_scenario(name="s", description="d", success_criteria="x")
    await service.create_eval(name="e", scenario_ids=[scenario.id], agent_id=made.id, agent_version=2)
    with pytest.raises(StoreConflictError, match="the agent 'bot' is used by the eval 'e'"):
        await service.delete_agent(made.id)


async def test_projects(database: Database) -> None:
    definitions = SavedDefinitions(database)
    made = await definitions.create_project("shop", {"evaluation_model": "openai/gpt-5-mini"}, max_concurrency=4)
    assert await definitions.get_project("shop") == made
    assert await definitions.get_project(made.id[:8]) == made
    changed = await definitions.update_project(made.id, {"max_concurrency": None})
    assert changed is not None
    assert (changed.max_concurrency, changed.settings) == (None, made.settings)
    with pytest.raises(StoreConflictError, match='Project with name "shop" already exists'):
        await definitions.create_project("shop")
    with pytest.raises(ConfigurationError, match="max_concurrency is 0"):
        await definitions.update_project(made.id, {"max_concurrency": 0})
    models = [{"name": "m", "provider": "openai", "credential": {"api_key": "sk-abcdef1234567890"}}]
    with pytest.raises(ConfigurationError, match="api_key holds a credential"):
        await definitions.update_project(made.id, {"settings": {"models": models}})
    service = RunService(database, made)
    made_eval = await an_eval(service)
    assert await definitions.delete_project(made.id) is True
    assert await definitions.delete_project(made.id) is False
    assert await definitions.get_eval(made_eval.id) is None
    counts = "SELECT (SELECT count(*) FROM scenarios) + (SELECT count(*) FROM connectors)"
    assert await database.read(lambda connection: connection.execute(text(counts)).scalar_one()) == 0


async def test_nothing_is_created_in_a_project_that_is_not_there(database: Database) -> None:
    with pytest.raises(NotFoundError, match='Project with id "nowhere" not found'):
        await SavedDefinitions(database).create_persona("nowhere", {"name": "pat"})


@pytest.mark.parametrize("name", ["naïve ☂", "a\\u0000b", "'; DROP TABLE runs; --", "%", "x" * 200])
async def test_any_name_comes_back_as_it_was(service: RunService, name: str) -> None:
    made = await service.create_persona(name=name, description=name)
    found = await service.get_persona_by_name(name)
    assert found == made


@pytest.mark.parametrize("what", MAKE)
@pytest.mark.parametrize("name", ["", " ", "a\0b", "\ud800", "x" * 201])
async def test_names_that_cannot_be_used(service: RunService, what: str, name: str) -> None:
    with pytest.raises(ConfigurationError, match="name"):
        await MAKE[what](service, name)
    made = await MAKE[what](service, "one")
    with pytest.raises(ConfigurationError, match="name"):
        await getattr(service, f"update_{what}")(made.id, name=name)
    assert await getattr(service, f"get_{what}")(made.id) == made


async def test_texts_that_databases_refuse_are_stored_without_what_they_refuse(service: RunService) -> None:
    made = await service.create_persona(name="pat", description="a\0b \ud800 ☂")
    found = await service.get_persona(made.id)
    assert found is not None
    assert "☂" in found.spec.description
    scenario = await service.create_scenario(
        name="s", description="\0", messages=[{"role": "user", "content": "\ud800 ☂"}], success_criteria="x"
    )
    connector = await service.create_connector(name="c", **CONNECTOR)
    run = await service.create_playground_run(scenario.id, connector.id, made.id)
    again = await service.update_run(
        run.id, error="\0 ☂", metadata={"a": "\0"}, result={"success": True, "reason": "\0"}
    )
    assert again is not None
    assert "☂" in (again.error or "")
