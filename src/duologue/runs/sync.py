"""The runs API for programs without an event loop; also for notebooks, whose loop runs already.

::

    with SyncRunService.open(project="shop") as service:
        runs = service.create_runs(eval_id)

Every method is that of :class:`~duologue.runs.service.RunService`, and returns when it is done.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Generator, Mapping
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from threading import Lock
from typing import Any, Concatenate, ParamSpec, Self, TypeVar, cast

from duologue.runs.processor import RunProcessor
from duologue.runs.service import RunService
from duologue.runs.store.database.connections import StoreLoop
from duologue.runs.store.database.engine import Database

P = ParamSpec("P")
T = TypeVar("T")


def _blocking(
    method: Callable[Concatenate[RunService, P], Awaitable[T]],
) -> Callable[Concatenate[SyncRunService, P], T]:
    @wraps(method)
    def call(self: SyncRunService, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return self.wait(method(self.service, *args, **kwargs))

    return call


class SyncRunService:
    """The definitions and runs of one project. May be used from any thread.

    Args:
        service: what does the work.
        loop: that it does it on.
    """

    def __init__(self, service: RunService, loop: StoreLoop) -> None:
        self.service = service
        self._loop = loop

    @classmethod
    @contextmanager
    def open(
        cls,
        where: str | Path | None = None,
        *,
        project: str | None = None,
        create: bool | None = None,
        new_project: bool = False,
    ) -> Generator[Self]:
        """Open a store and a project in it; see :meth:`RunService.open`."""
        loop = StoreLoop()
        opening = RunService.open(where, project=project, create=create, new_project=new_project)
        try:
            service = loop.submit(_entered(opening)).result()
            try:
                yield cls(service, loop)
            finally:
                loop.submit(_left(opening)).result()
        finally:
            loop.stop()

    def wait(self, work: Awaitable[T]) -> T:
        """Do something on the loop of this service and wait for it."""
        return self._loop.submit(cast("Coroutine[Any, Any, T]", work)).result()

    update_project = _blocking(RunService.update_project)

    create_persona = _blocking(RunService.create_persona)
    get_persona = _blocking(RunService.get_persona)
    get_persona_by_name = _blocking(RunService.get_persona_by_name)
    list_personas = _blocking(RunService.list_personas)
    update_persona = _blocking(RunService.update_persona)
    delete_persona = _blocking(RunService.delete_persona)

    create_scenario = _blocking(RunService.create_scenario)
    get_scenario = _blocking(RunService.get_scenario)
    get_scenario_by_name = _blocking(RunService.get_scenario_by_name)
    list_scenarios = _blocking(RunService.list_scenarios)
    update_scenario = _blocking(RunService.update_scenario)
    delete_scenario = _blocking(RunService.delete_scenario)

    create_connector = _blocking(RunService.create_connector)
    get_connector = _blocking(RunService.get_connector)
    get_connector_by_name = _blocking(RunService.get_connector_by_name)
    list_connectors = _blocking(RunService.list_connectors)
    update_connector = _blocking(RunService.update_connector)
    delete_connector = _blocking(RunService.delete_connector)
    test_connector = _blocking(RunService.test_connector)
    invoke_connector = _blocking(RunService.invoke_connector)

    create_agent = _blocking(RunService.create_agent)
    get_agent = _blocking(RunService.get_agent)
    get_agent_by_name = _blocking(RunService.get_agent_by_name)
    list_agents = _blocking(RunService.list_agents)
    update_agent = _blocking(RunService.update_agent)
    delete_agent = _blocking(RunService.delete_agent)
    publish_agent = _blocking(RunService.publish_agent)
    get_agent_version = _blocking(RunService.get_agent_version)
    list_agent_versions = _blocking(RunService.list_agent_versions)
    roll_back_agent = _blocking(RunService.roll_back_agent)
    diff_agent_versions = _blocking(RunService.diff_agent_versions)

    create_metric = _blocking(RunService.create_metric)
    get_metric = _blocking(RunService.get_metric)
    list_metrics = _blocking(RunService.list_metrics)
    update_metric = _blocking(RunService.update_metric)
    delete_metric = _blocking(RunService.delete_metric)
    create_eval = _blocking(RunService.create_eval)
    get_eval = _blocking(RunService.get_eval)
    get_eval_by_name = _blocking(RunService.get_eval_by_name)
    list_evals = _blocking(RunService.list_evals)
    update_eval = _blocking(RunService.update_eval)
    delete_eval = _blocking(RunService.delete_eval)

    generate_test_cases = _blocking(RunService.generate_test_cases)
    create_test_case_from_conversation = _blocking(RunService.create_test_case_from_conversation)
    edit_test_case = _blocking(RunService.edit_test_case)
    draft_metric = _blocking(RunService.draft_metric)

    put_call_source = _blocking(RunService.put_call_source)
    list_call_sources = _blocking(RunService.list_call_sources)
    get_call_source = _blocking(RunService.get_call_source)
    delete_call_source = _blocking(RunService.delete_call_source)
    pull_calls = _blocking(RunService.pull_calls)
    list_calls = _blocking(RunService.list_calls)
    get_call = _blocking(RunService.get_call)
    find_call = _blocking(RunService.find_call)
    call_recording = _blocking(RunService.call_recording)
    record_call = _blocking(RunService.record_call)
    label_call = _blocking(RunService.label_call)
    delete_call = _blocking(RunService.delete_call)
    create_test_case_from_call = _blocking(RunService.create_test_case_from_call)

    set_baseline = _blocking(RunService.set_baseline)
    get_baseline = _blocking(RunService.get_baseline)
    find_baseline = _blocking(RunService.find_baseline)
    list_baselines = _blocking(RunService.list_baselines)
    delete_baseline = _blocking(RunService.delete_baseline)

    create_environment = _blocking(RunService.create_environment)
    get_environment = _blocking(RunService.get_environment)
    get_environment_by_name = _blocking(RunService.get_environment_by_name)
    list_environments = _blocking(RunService.list_environments)
    update_environment = _blocking(RunService.update_environment)
    delete_environment = _blocking(RunService.delete_environment)
    check_gate = _blocking(RunService.check_gate)
    deploy = _blocking(RunService.deploy)
    preview_deployment = _blocking(RunService.preview_deployment)
    list_deployments = _blocking(RunService.list_deployments)

    create_runs = _blocking(RunService.create_runs)
    create_run = _blocking(RunService.create_run)
    create_playground_run = _blocking(RunService.create_playground_run)
    get_run = _blocking(RunService.get_run)
    list_runs = _blocking(RunService.list_runs)
    list_runs_by_eval = _blocking(RunService.list_runs_by_eval)
    list_runs_by_scenario = _blocking(RunService.list_runs_by_scenario)
    list_runs_by_persona = _blocking(RunService.list_runs_by_persona)
    update_run = _blocking(RunService.update_run)
    retry_run = _blocking(RunService.retry_run)
    cancel_runs = _blocking(RunService.cancel_runs)
    delete_run = _blocking(RunService.delete_run)
    delete_runs = _blocking(RunService.delete_runs)
    delete_runs_by_eval = _blocking(RunService.delete_runs_by_eval)
    get_execution = _blocking(RunService.get_execution)
    list_executions = _blocking(RunService.list_executions)


class SyncRunProcessor:
    """Carries out the runs of a store for a program without an event loop; see :class:`RunProcessor`.

    ::

        with SyncRunProcessor("runs.db", max_concurrent=20) as processor:
            processor.drain()

    It may be used from any thread but that of its own callbacks and agents, which are called on a loop that it has.

    Args:
        store: the database, its URL, its file or folder, or a processor that was made.
        options: as :class:`RunProcessor` takes them.
    """

    def __init__(self, store: RunProcessor | Database | str | Path | None = None, **options: Any) -> None:
        self.processor = store if isinstance(store, RunProcessor) else RunProcessor(store, **options)
        self._loop: StoreLoop | None = None
        self._lock = Lock()

    def __enter__(self) -> Self:
        self._wait(self.processor.__aenter__)
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self._wait(self.processor.__aexit__)
        finally:
            self.close()

    @property
    def is_running(self) -> bool:
        """Whether it was started, and not stopped since."""
        return self.processor.is_running

    @property
    def outcomes(self) -> Mapping[str, int]:
        """How many runs it has brought to which outcome."""
        return self.processor.outcomes

    def get_active_run_count(self) -> int:
        """How many runs it is carrying out now."""
        return self.processor.get_active_run_count()

    def start(self) -> None:
        """Begin to carry out runs in the background, until :meth:`stop`."""
        self._wait(self.processor.start)

    def stop(self, timeout: float | None = None) -> None:
        """Claim nothing more and wait for the runs that are under way, for so many seconds at most."""
        self._wait(lambda: self.processor.stop(timeout))

    def process_once(self) -> int:
        """Claim runs for the free slots, and wait until these are over; returns how many there were."""
        return self._wait(self.processor.process_once)

    def process_run(self, run_id: str) -> bool:
        """Carry out this run now, and wait until it is over. False if it does not wait in the queue."""
        return self._wait(lambda: self.processor.process_run(run_id))

    def drain(self) -> None:
        """Carry out runs until none is left in the queue."""
        self._wait(self.processor.drain)

    def close(self) -> None:
        """Stop, and end the thread that it has. Harmless when it was done before."""
        if self._loop is not None and self.is_running:
            self.stop()
        with self._lock:
            loop, self._loop = self._loop, None
        if loop is not None:
            loop.stop()

    def _wait(self, work: Callable[..., Coroutine[Any, Any, T]]) -> T:
        with self._lock:
            self._loop = loop = self._loop or StoreLoop()
        return loop.submit(work()).result()


async def _entered(opening: Any) -> RunService:
    return cast("RunService", await opening.__aenter__())


async def _left(opening: Any) -> None:
    await opening.__aexit__(None, None, None)
