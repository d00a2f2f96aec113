"""Runs that are stored, queued and carried out in the background, on one machine or many. Needs the extra ``runs``.

    from duologue.runs import RunProcessor, RunService

    async with RunService.open(project="shop") as service:
        runs = await service.create_runs(eval_id)

Names are loaded when they are first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from duologue.lazy_names import lazy_names

if TYPE_CHECKING:
    from duologue.agents.criteria_loop import CriteriaEvaluation as CriteriaEvaluation
    from duologue.agents.criteria_loop import PersonaMessage as PersonaMessage
    from duologue.agents.criteria_loop import evaluate_criteria as evaluate_criteria
    from duologue.agents.criteria_loop import generate_persona_message as generate_persona_message
    from duologue.runs.connectors import ConnectorReply as ConnectorReply
    from duologue.runs.connectors import ConnectorTest as ConnectorTest
    from duologue.runs.evalstudio import ImportedProject as ImportedProject
    from duologue.runs.evalstudio import import_evalstudio as import_evalstudio
    from duologue.runs.evalstudio import is_evalstudio as is_evalstudio
    from duologue.runs.functions import create_playground_run as create_playground_run
    from duologue.runs.functions import create_run as create_run
    from duologue.runs.functions import create_runs as create_runs
    from duologue.runs.functions import delete_run as delete_run
    from duologue.runs.functions import delete_runs_by_eval as delete_runs_by_eval
    from duologue.runs.functions import get_run as get_run
    from duologue.runs.functions import list_runs as list_runs
    from duologue.runs.functions import list_runs_by_eval as list_runs_by_eval
    from duologue.runs.functions import list_runs_by_persona as list_runs_by_persona
    from duologue.runs.functions import list_runs_by_scenario as list_runs_by_scenario
    from duologue.runs.functions import retry_run as retry_run
    from duologue.runs.functions import update_run as update_run
    from duologue.runs.processor import RunProcessor as RunProcessor
    from duologue.runs.schedules import Schedule as Schedule
    from duologue.runs.schedules import Schedules as Schedules
    from duologue.runs.service import RunService as RunService
    from duologue.runs.store.definitions import AgentDraft as AgentDraft
    from duologue.runs.store.definitions import AgentVersion as AgentVersion
    from duologue.runs.store.definitions import Connector as Connector
    from duologue.runs.store.definitions import Eval as Eval
    from duologue.runs.store.definitions import Project as Project
    from duologue.runs.store.definitions import ProjectSettings as ProjectSettings
    from duologue.runs.store.definitions import SavedAgent as SavedAgent
    from duologue.runs.store.definitions import SavedPersona as SavedPersona
    from duologue.runs.store.definitions import SavedScenario as SavedScenario
    from duologue.runs.store.records import ProviderLimit as ProviderLimit
    from duologue.runs.store.records import QueueStatus as QueueStatus
    from duologue.runs.store.records import StoredExecution as StoredExecution
    from duologue.runs.store.records import StoredResult as StoredResult
    from duologue.runs.store.records import StoredRun as StoredRun
    from duologue.runs.sync import SyncRunProcessor as SyncRunProcessor
    from duologue.runs.sync import SyncRunService as SyncRunService

_HOMES = {
    "AgentDraft": "duologue.runs.store.definitions",
    "AgentVersion": "duologue.runs.store.definitions",
    "Connector": "duologue.runs.store.definitions",
    "ConnectorReply": "duologue.runs.connectors",
    "ConnectorTest": "duologue.runs.connectors",
    "CriteriaEvaluation": "duologue.agents.criteria_loop",
    "Eval": "duologue.runs.store.definitions",
    "ImportedProject": "duologue.runs.evalstudio",
    "PersonaMessage": "duologue.agents.criteria_loop",
    "Project": "duologue.runs.store.definitions",
    "ProjectSettings": "duologue.runs.store.definitions",
    "ProviderLimit": "duologue.runs.store.records",
    "QueueStatus": "duologue.runs.store.records",
    "RunProcessor": "duologue.runs.processor",
    "RunService": "duologue.runs.service",
    "SavedAgent": "duologue.runs.store.definitions",
    "SavedPersona": "duologue.runs.store.definitions",
    "SavedScenario": "duologue.runs.store.definitions",
    "Schedule": "duologue.runs.schedules",
    "Schedules": "duologue.runs.schedules",
    "StoredExecution": "duologue.runs.store.records",
    "StoredResult": "duologue.runs.store.records",
    "StoredRun": "duologue.runs.store.records",
    "SyncRunProcessor": "duologue.runs.sync",
    "SyncRunService": "duologue.runs.sync",
    "create_playground_run": "duologue.runs.functions",
    "create_run": "duologue.runs.functions",
    "create_runs": "duologue.runs.functions",
    "delete_run": "duologue.runs.functions",
    "delete_runs_by_eval": "duologue.runs.functions",
    "evaluate_criteria": "duologue.agents.criteria_loop",
    "generate_persona_message": "duologue.agents.criteria_loop",
    "get_run": "duologue.runs.functions",
    "import_evalstudio": "duologue.runs.evalstudio",
    "is_evalstudio": "duologue.runs.evalstudio",
    "list_runs": "duologue.runs.functions",
    "list_runs_by_eval": "duologue.runs.functions",
    "list_runs_by_persona": "duologue.runs.functions",
    "list_runs_by_scenario": "duologue.runs.functions",
    "retry_run": "duologue.runs.functions",
    "update_run": "duologue.runs.functions",
}

__all__ = [*sorted(_HOMES)]  # noqa: PLE0604  # pyright: ignore[reportUnsupportedDunderAll]

_get, __dir__ = lazy_names(__name__, _HOMES)


def __getattr__(name: str) -> Any:
    try:
        return _get(name)
    except ModuleNotFoundError as error:
        from duologue.errors import MissingExtraError

        if error.name not in {"sqlalchemy", "alembic"}:
            raise
        raise MissingExtraError(f"duologue.runs.{name}", "runs", error.name) from error
