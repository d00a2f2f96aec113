"""Test cases and metrics that a model writes. A model is called as a run of the project calls one, and not for long."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Annotated, cast

from starlette.responses import Response

from duologue.config.placed_json import refused
from duologue.config.problems import PlacedDict
from duologue.errors import ModelTimeoutError
from duologue.messages import Message
from duologue.models.scope import Budget, RunScope, ledger_for
from duologue.runs.store.definitions import SavedMetric
from duologue.server.access import within_policy
from duologue.server.auth import Caller, Runner
from duologue.server.bounded import LONGEST, ends_in_time
from duologue.server.idempotency import routes as routes_of_group
from duologue.server.placed_body import JSON_BODY, BodyOf, read_body, references
from duologue.server.preconditions import IfMatch, answer
from duologue.server.schemas.cases import (
    DraftMetricFields,
    EditFields,
    FromConversationFields,
    GenerateFields,
    MetricDraft,
    TestCasesAnswer,
    cases_fields,
)
from duologue.server.schemas.definitions import scenario_fields

routes = routes_of_group("test cases")
_GENERATE = {
    "agent_id": "3fa85f64-5717-4562-b3fc-2c963f66afa6",
    "count": 5,
    "instructions": "Refunds of orders that have not arrived.",
}
_CONVERSATION = {
    "messages": [
        {"role": "user", "content": "My order has not arrived."},
        {"role": "assistant", "content": "I am sorry. Which order is it?"},
    ],
    "instructions": "The user is in a hurry.",
}


@routes.post("/test-cases/generate", operation_id="generate_test_cases", response_model=TestCasesAnswer)
async def generate_test_cases(
    caller: Runner, body: Annotated[PlacedDict, JSON_BODY, BodyOf(model=GenerateFields, example=_GENERATE)]
) -> Response:
    """Let a model write test cases, from an agent's prompt and tools, from runs, or from instructions alone.

    They are saved together or not at all. What the model got wrong twice is left out, and ``problems`` says why.
    """
    wanted = read_body(GenerateFields, body)
    with references(body):
        async with writing(caller, wanted.budget) as scope:
            made = await caller.service.generate_test_cases(
                wanted.agent_id,
                version=wanted.version,
                count=wanted.count,
                run_ids=wanted.run_ids,
                instructions=wanted.instructions,
                model=wanted.model,
                save=wanted.save,
                scope=scope,
            )
    return answer(cases_fields(made), etag=False)


@routes.post(
    "/test-cases/from-conversation", operation_id="create_test_case_from_conversation", response_model=TestCasesAnswer
)
async def create_test_case_from_conversation(
    caller: Runner,
    body: Annotated[PlacedDict, JSON_BODY, BodyOf(model=FromConversationFields, example=_CONVERSATION)],
) -> Response:
    """Let a model write the test case that rehearses a conversation again: that of a run, or messages."""
    wanted = read_body(FromConversationFields, body)
    if (wanted.run_id is None) == (not wanted.messages):
        raise refused("run_id", "expected either run_id or messages")
    messages = [cast("Message", message.written()) for message in wanted.messages]
    with references(body):
        async with writing(caller, wanted.budget) as scope:
            made = await caller.service.create_test_case_from_conversation(
                wanted.run_id or messages,
                agent_id=wanted.agent_id,
                instructions=wanted.instructions,
                source=wanted.source,
                model=wanted.model,
                save=wanted.save,
                scope=scope,
            )
    return answer(cases_fields(made), etag=False)


@routes.post("/scenarios/{scenario_id}/edit", operation_id="edit_scenario", response_model=TestCasesAnswer)
async def edit_scenario(
    caller: Runner,
    scenario_id: str,
    matching: IfMatch,
    body: Annotated[
        PlacedDict, JSON_BODY, BodyOf(model=EditFields, example={"instruction": "Make the user impatient."})
    ],
) -> Response:
    """Let a model change a scenario as an instruction says. Runs that exist stay as they are.

    A user who becomes somebody else is a new persona, because other scenarios may have the old one. A scenario that
    somebody changes meanwhile is left as it is (409).
    """
    found = caller.own(await caller.state.definitions.get_scenario(scenario_id), "Scenario", scenario_id)
    matching.require(scenario_fields(found))
    wanted = read_body(EditFields, body)
    with references(body):
        async with writing(caller, wanted.budget) as scope:
            made, changed = await caller.service.edit_test_case(
                scenario_id,
                wanted.instruction,
                agent_id=wanted.agent_id,
                model=wanted.model,
                save=wanted.save,
                scope=scope,
            )
    return answer(cases_fields(made, changed), etag=False)


@routes.post("/metrics/draft", operation_id="draft_metric", response_model=MetricDraft)
async def draft_metric(
    caller: Runner,
    body: Annotated[
        PlacedDict, JSON_BODY, BodyOf(model=DraftMetricFields, example={"about": "Whether it asks before it acts."})
    ],
) -> Response:
    """Let a model draft a metric with its rubric. Evals cannot use it before ``draft`` is taken off."""
    wanted = read_body(DraftMetricFields, body)
    with references(body):
        async with writing(caller, wanted.budget) as scope:
            made = await caller.service.draft_metric(
                wanted.about,
                agent_id=wanted.agent_id,
                score_type=wanted.score_type,
                model=wanted.model,
                save=False,
                scope=scope,
            )
    saved: SavedMetric | None = None
    if wanted.save:
        saved = await caller.state.metrics.create_metric(caller.project.id, made)
    return answer({"id": saved.id if saved else None, **made.model_dump(mode="json")}, etag=False)


@asynccontextmanager
async def writing(caller: Caller, budget: float | None) -> AsyncGenerator[RunScope]:
    """Let a model write in this block, with what runs of the project may use, for so much money and not for long.

    Args:
        caller: of whose project it is.
        budget: US dollars; None for what the project says.

    Raises:
        ModelTimeoutError: it took too long.
    """
    usual = caller.project.settings.defaults.budget
    limits = [money for money in (budget, usual.money if usual else None) if money is not None]
    clock = caller.state.database.context.clock
    money = Budget(money=min(limits)) if limits else None
    scope = RunScope(who="test cases", ledger=ledger_for(money, clock, owner="the request"))
    told = f"the model did not finish within {LONGEST:g} s, and nothing was saved; ask for fewer test cases"
    async with within_policy(caller), ends_in_time(ModelTimeoutError(told)):
        yield scope
