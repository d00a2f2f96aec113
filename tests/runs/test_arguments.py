"""Arguments of the wrong type are refused by name, whichever function of the runs API gets them."""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from duologue.errors import ConfigurationError, DuologueError
from duologue.runs import SyncRunService
from duologue.runs.processor import RunProcessor
from duologue.runs.schedules import Schedules
from duologue.runs.service import RunService

NUMBER = "a whole number or None"
ODD: list[Any] = ["5", 5, 2.5, True, [], {}, object(), b"x", 10**30, float("nan"), ["a"], ("b",), [1], {"a": 1}, None]


@pytest.fixture
async def service(tmp_path: Path) -> AsyncIterator[RunService]:
    async with RunService.open(tmp_path / "runs.db") as opened:
        yield opened


@pytest.mark.parametrize(
    ("call", "told"),
    [
        (lambda it: it.list_runs(limit="5"), f"limit is '5'; expected {NUMBER}"),
        (lambda it: it.list_runs(limit=2.5), f"limit is 2.5; expected {NUMBER}"),
        (lambda it: it.list_runs(limit=True), f"limit is True; expected {NUMBER}"),
        (lambda it: it.list_runs(limit=0), "limit is 0; expected at least 1, or None for all"),
        (lambda it: it.list_runs(after="x"), f"after is 'x'; expected {NUMBER}"),
        (lambda it: it.list_runs(after=10**30), f"after is {10**30}; expected {NUMBER}"),
        (lambda it: it.list_runs(eval_id=5), "eval_id is 5; expected a text or None"),
        (lambda it: it.list_runs(execution_id="1"), f"execution_id is '1'; expected {NUMBER}"),
        (lambda it: it.list_runs(status="gone"), "status is 'gone'; expected one of queued"),
        (lambda it: it.list_runs(status=["queued"]), "status is ['queued']; expected a QueueStatus or a text or None"),
        (lambda it: it.list_runs(descending="yes"), "descending is 'yes'; expected True or False"),
        (lambda it: it.list_runs_by_eval("e", limit="5"), f"limit is '5'; expected {NUMBER}"),
        (lambda it: it.list_runs_by_persona(["p"]), "persona_id is ['p']; expected a text"),
        (lambda it: it.list_executions(limit="5"), f"limit is '5'; expected {NUMBER}"),
        (lambda it: it.list_executions(limit=0), "limit is 0; expected at least 1, or None for all"),
        (lambda it: it.list_personas(limit="5"), f"limit is '5'; expected {NUMBER}"),
        (lambda it: it.list_evals(after=5), "after is 5; expected a text or None"),
        (lambda it: it.get_run(5), "run_id is 5; expected a text"),
        (lambda it: it.get_execution("1"), "execution_id is '1'; expected a whole number"),
        (lambda it: it.cancel_runs("a", None), "run_ids is None; expected a text"),
        (lambda it: it.delete_runs(["a"]), "run_ids is ['a']; expected a text"),
        (lambda it: it.create_runs("e", priority="high"), "priority is 'high'; expected a whole number"),
        (lambda it: it.create_runs("e", not_before="now"), "not_before is 'now'; expected a number or None"),
        (lambda it: it.create_run("e", max_attempts=2.5), "max_attempts is 2.5; expected a whole number"),
        (lambda it: it.create_runs("e", seed="x" * 500), "… (str); expected a whole number or None"),
        (lambda it: it.create_eval(name="e", scenario_ids="s1"), "scenario_ids is 's1'; expected a list of texts"),
        (lambda it: it.create_eval(name="e", scenario_ids=[1]), "scenario_ids is [1]; expected a list of texts"),
        (
            lambda it: it.create_connector(name="c", type="http", base_url="x", headers=["a"]),
            "headers is ['a']; expected a mapping of texts or None",
        ),
        (lambda it: it.invoke_connector("c", "hello"), "messages is 'hello'; expected a list"),
        (lambda it: it.roll_back_agent("a", "1"), "version is '1'; expected a whole number"),
        (lambda it: Schedules(it.database).create("e", 5), "cron is 5; expected a text"),
        (lambda it: Schedules(it.database).create("e", "* * * * *", enabled="no"), "expected True or False"),
    ],
)
async def test_what_is_of_the_wrong_type_is_told(service: RunService, call: Callable[[Any], Any], told: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        await call(service)
    assert told in str(raised.value)


def calls() -> Iterator[tuple[str, str]]:
    for name, method in inspect.getmembers(RunService, inspect.iscoroutinefunction):
        for parameter in inspect.signature(method).parameters.values():
            if not name.startswith("_") and parameter.name != "self" and parameter.kind is not parameter.VAR_KEYWORD:
                yield name, parameter.name


async def test_no_argument_of_any_function_makes_it_fail_in_another_way(service: RunService) -> None:
    broken: list[str] = []
    for name, wanted in calls():
        parameters = [
            item
            for item in inspect.signature(getattr(service, name)).parameters.values()
            if item.name == wanted
            or (item.default is item.empty and item.kind not in {item.VAR_KEYWORD, item.VAR_POSITIONAL})
        ]
        for odd in ODD:
            given = {item.name: odd if item.name == wanted else "x" for item in parameters}
            args = [given[item.name] for item in parameters if item.kind is not item.KEYWORD_ONLY]
            named = {item.name: given[item.name] for item in parameters if item.kind is item.KEYWORD_ONLY}
            try:
                await getattr(service, name)(*args, **named)
            except DuologueError:
                pass
            except Exception as error:  # noqa: BLE001 -- all of them are counted
                broken.append(f"{name}({wanted}={odd!r}): {error!r}")
    assert broken == []


def test_programs_without_an_event_loop_are_told_the_same(tmp_path: Path) -> None:
    with SyncRunService.open(tmp_path / "runs.db") as service, pytest.raises(ConfigurationError, match="limit is '5'"):
        service.list_runs(limit="5")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"max_concurrent": "3"}, f"max_concurrent is '3'; expected {NUMBER}"),
        ({"poll_interval": "5s"}, "poll_interval is '5s'; expected a number"),
        ({"stop_timeout": None}, "stop_timeout is None; expected a number"),
        ({"projects": "shop"}, "projects is 'shop'; expected a list of texts"),
    ],
)
def test_options_of_a_processor(options: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        RunProcessor("runs.db", **options)
    assert told in str(raised.value)
