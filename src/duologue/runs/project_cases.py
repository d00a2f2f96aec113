"""Test cases of a project that a model writes or edits: from agents, runs and conversations, by an instruction."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from sqlalchemy import Connection, select

from duologue.checks.metrics.predefined import PREDEFINED
from duologue.errors import ConfigurationError, NotFoundError
from duologue.frozen import changed, frozen
from duologue.messages import Message
from duologue.models.base import Model
from duologue.models.choice import ModelChoice
from duologue.models.scope import RunScope
from duologue.runs.arguments import checked
from duologue.runs.project_definitions import ProjectDefinitions
from duologue.runs.project_models import project_model
from duologue.runs.store.database.agents import no_version
from duologue.runs.store.database.definition_rows import require_valid
from duologue.runs.store.database.rows import get_run
from duologue.runs.store.database.saved_cases import SavedCases
from duologue.runs.store.database.schema import personas, scenarios
from duologue.runs.store.definitions import AgentDraft, SavedPersona, SavedScenario
from duologue.runs.stored_messages import Instructions, with_messages_so_far
from duologue.specs.agents import Persona
from duologue.specs.metrics import MetricSpec
from duologue.specs.scenario import Scenario
from duologue.suites.cases import (
    AgentFacts,
    GeneratedCases,
    case_from_conversation,
    edit_case,
    facts_of,
    generate_cases,
)
from duologue.suites.written_metrics import draft_metric

SOURCE = "duologue/source"
"""The annotation of a scenario that says where it comes from."""


@frozen
class TestCases:
    """Test cases that a model has written.

    Attributes:
        scenarios, personas: what was written; as they were saved, if they were.
        saved, saved_personas: in the project; empty if they were not saved.
        problems: what was left out, and why.
    """

    __test__ = False  # the name looks like one of pytest's

    scenarios: tuple[Scenario, ...]
    personas: tuple[Persona, ...] = ()
    saved: tuple[SavedScenario, ...] = ()
    saved_personas: tuple[SavedPersona, ...] = ()
    problems: tuple[str, ...] = ()


@checked
class ProjectCases(ProjectDefinitions):
    """Test cases that a model writes for a project; see :class:`ProjectDefinitions`."""

    async def generate_test_cases(
        self,
        agent_id: str | None = None,
        *,
        version: int | None = None,
        count: int = 10,
        run_ids: Sequence[str] = (),
        conversations: Sequence[Sequence[Message]] = (),
        instructions: str = "",
        model: str | Model | None = None,
        save: bool = True,
        scope: RunScope | None = None,
    ) -> TestCases:
        """Let a model write test cases.

        Args:
            agent_id: of a saved agent, for its prompt and tools; None for what conversations and instructions say.
            version: of the agent; None for its draft.
            count: how many, from 1 to 200.
            run_ids: of runs whose conversations show what users ask for.
            conversations: further ones.
            instructions: what the cases should be about.
            model: that writes; None for the ``evaluation_model`` of the project, else the default model.
            save: keep them in the project; else they are only returned.
            scope: budget and clock.

        Raises:
            NotFoundError: there is no such agent, version or run.
            ConfigurationError: there is no model, or a value cannot be used.
            ModelError: the model gave no usable answer.
        """
        facts, draft = await self._agent_facts(agent_id, version)
        talks = [*conversations, *[await self._conversation_of(run_id) for run_id in run_ids]]
        choice = self._model(model, draft)
        names, people = await self._names()
        made = await generate_cases(
            choice,
            facts,
            count=count,
            conversations=talks,
            instructions=instructions,
            taken=names,
            personas_taken=people,
            known_tools=_tools_are_known(draft),
            scope=scope,
        )
        return await self._kept(made, save=save)

    async def create_test_case_from_conversation(
        self,
        conversation: Sequence[Message] | str,
        *,
        agent_id: str | None = None,
        instructions: str = "",
        source: str = "",
        model: str | Model | None = None,
        save: bool = True,
        scope: RunScope | None = None,
    ) -> TestCases:
        """Let a model write the test case that rehearses a conversation again.

        Args:
            conversation: its messages, or the id of a run.
            agent_id: of the saved agent that took part, for its tools.
            instructions: what else matters.
            source: where it comes from; kept as an annotation.
            model, save, scope: as for :meth:`generate_test_cases`.

        Raises as :meth:`generate_test_cases`.
        """
        facts, draft = await self._agent_facts(agent_id, None)
        messages = await self._conversation_of(conversation) if isinstance(conversation, str) else conversation
        told = source or (f"run {conversation}" if isinstance(conversation, str) else "")
        names, people = await self._names()
        made = await case_from_conversation(
            self._model(model, draft),
            facts,
            messages,
            instructions=instructions,
            taken=names,
            personas_taken=people,
            known_tools=_tools_are_known(draft),
            annotations={SOURCE: told} if told else None,
            scope=scope,
        )
        return await self._kept(made, save=save)

    async def edit_test_case(
        self,
        scenario_id: str,
        instruction: str,
        *,
        agent_id: str | None = None,
        model: str | Model | None = None,
        save: bool = True,
        scope: RunScope | None = None,
    ) -> tuple[TestCases, tuple[str, ...]]:
        """Let a model change a scenario as an instruction says. Runs that exist stay as they are.

        A user who becomes somebody else is a new persona: other scenarios may have the old one.

        Args:
            scenario_id: of the scenario.
            instruction: such as "make the user impatient".
            agent_id: of the saved agent that is tested, for its tools.
            model, save, scope: as for :meth:`generate_test_cases`.

        Returns:
            The scenario, and the names of the fields that are different.

        Raises as :meth:`generate_test_cases`; StoreConflictError if it was changed or deleted meanwhile.
        """
        found = await self.get_scenario(scenario_id)
        if found is None:
            raise NotFoundError(f'Scenario with id "{scenario_id}" not found')
        facts, draft = await self._agent_facts(agent_id, None)
        only = await self.get_persona(found.persona_ids[0]) if len(found.persona_ids) == 1 else None
        known = [saved.spec for id_ in found.persona_ids if (saved := await self.get_persona(id_)) is not None]
        speakers = [item.spec for item in await self.list_personas() if item.spec not in known]
        names, people = await self._names()

        def check(scenario: Scenario) -> None:
            require_valid((scenario.changed(personas=()),), [*known, *speakers])

        edited = await edit_case(
            self._model(model, draft),
            found.spec,
            instruction,
            persona=only.spec if only else None,
            facts=facts if agent_id else None,
            taken=names,
            personas_taken=people,
            check=check,
            scope=scope,
        )
        new = (edited.persona,) if edited.persona else ()
        if not save:
            return TestCases(scenarios=(edited.scenario,), personas=new), edited.changed
        saved, saved_personas = await SavedCases(self.database).save_edited(
            self.project.id, found, edited.scenario, new
        )
        made = TestCases(
            scenarios=(saved.spec,),
            personas=new,
            saved=(saved,),
            saved_personas=saved_personas,
        )
        return made, edited.changed

    async def draft_metric(
        self,
        about: str,
        *,
        agent_id: str | None = None,
        score_type: str = "scored",
        model: str | Model | None = None,
        save: bool = True,
        scope: RunScope | None = None,
    ) -> MetricSpec:
        """Let a model draft a metric with its rubric. Evals cannot use it before ``draft`` is taken off.

        Args:
            about: what should be looked at, such as "does it ask before it acts".
            agent_id: of the saved agent whose conversations are graded.
            score_type: ``scored`` (0 to 5) or ``binary``.
            model, save, scope: as for :meth:`generate_test_cases`.

        Raises as :meth:`generate_test_cases`.
        """
        if score_type not in {"scored", "binary"}:
            raise ConfigurationError(f"score_type is {score_type!r}; expected scored or binary")
        facts, draft = await self._agent_facts(agent_id, None)
        taken = [metric.name for metric in PREDEFINED] + [item.name for item in await self.list_metrics()]
        made = await draft_metric(
            self._model(model, draft),
            about,
            score_type="binary" if score_type == "binary" else "scored",
            facts=facts if agent_id else None,
            taken=taken,
            scope=scope,
        )
        return (await self.create_metric(made)).spec if save else made

    def _model(self, model: str | Model | None, draft: AgentDraft | None) -> ModelChoice:
        more = draft.models if draft else ()
        return project_model(self.project.settings, model, more=more, purpose="writing test cases")

    async def _agent_facts(self, agent_id: str | None, version: int | None) -> tuple[AgentFacts, AgentDraft | None]:
        if agent_id is None:
            return AgentFacts(name="the agent"), None
        agent = await self.get_agent(agent_id)
        if agent is None:
            raise NotFoundError(f'Agent with id "{agent_id}" not found')
        draft = agent.draft
        if version is not None:
            published = await self.get_agent_version(agent_id, version)
            if published is None:
                raise no_version(agent.name, version)
            draft = published.draft
        return facts_of(draft.agent, draft.prompts, draft.tools), draft

    async def _conversation_of(self, run_id: str) -> list[Message]:
        """The conversation of a run, without what the simulated user was told."""
        found = await get_run(self.database, run_id)
        if found is None or found.project_id != self.project.id:
            raise NotFoundError(f'Run with id "{run_id}" not found')
        run = await with_messages_so_far(self.database, found, Instructions(self.database))
        return [message for message in run.messages if message["role"] != "system"]

    async def _names(self) -> tuple[Collection[str], Collection[str]]:
        """The names of scenarios and of personas that exist."""

        def work(connection: Connection) -> tuple[list[str], list[str]]:
            found = [
                list(connection.execute(select(table.c.name).where(table.c.project_id == self.project.id)).scalars())
                for table in (scenarios, personas)
            ]
            return found[0], found[1]

        return await self.database.read(work)

    async def _kept(self, made: GeneratedCases, *, save: bool) -> TestCases:
        cases = TestCases(scenarios=made.scenarios, personas=made.personas, problems=made.problems)
        if not save:
            return cases
        saved, people = await SavedCases(self.database).save_cases(self.project.id, made.scenarios, made.personas)
        return changed(
            cases,
            scenarios=tuple(item.spec for item in saved),
            personas=tuple(item.spec for item in people),
            saved=saved,
            saved_personas=people,
        )


def _tools_are_known(draft: AgentDraft | None) -> bool:
    """Whether an agent can have no other tools than those that are written down here."""
    return draft is not None and draft.agent.model is not None and not (draft.mcp_servers or draft.a2a_agents)
