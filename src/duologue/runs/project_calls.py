"""Production calls of a project: where they come from, fetching them, looking at them, and test cases of them."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection

from duologue.config.redaction import is_written_out
from duologue.config.templates import expand, expand_url
from duologue.errors import ConfigurationError, NotFoundError
from duologue.models.base import Model
from duologue.models.scope import RunScope
from duologue.runs.arguments import checked
from duologue.runs.call_pull import MOST_PAGES, CallPull, api_of
from duologue.runs.call_recordings import recording_of
from duologue.runs.call_runs import record_call
from duologue.runs.platforms import platform_named
from duologue.runs.project_cases import SOURCE, ProjectCases, TestCases
from duologue.runs.store.calls import CallSource, CallSourceSpec, ProductionCall, PulledCalls
from duologue.runs.store.database.calls import Calls
from duologue.runs.store.database.definition_rows import read
from duologue.runs.store.database.saved_cases import SavedCases
from duologue.suites.manifests.from_recordings import scenarios_from
from duologue.transcripts.recording import Recording

LABELS = ("good", "bad")


@checked
class ProjectCalls(ProjectCases):
    """Production calls of a project; see :class:`ProjectDefinitions`."""

    # Sources

    async def put_call_source(
        self, platform: str, platform_agent_id: str, *, agent_id: str | None = None, **spec: Any
    ) -> CallSource:
        """Save where calls come from, or change it; what was fetched stays.

        Args:
            platform: ``retell``, ``vapi`` or ``elevenlabs``.
            platform_agent_id: of the agent there.
            agent_id: of the saved agent that it is.
            spec: see :class:`CallSourceSpec`.

        Raises:
            NotFoundError: there is no such agent.
            ConfigurationError: there is no such platform, a field cannot be used, or a key is written out.
        """
        platform_named(platform)
        if not platform_agent_id.strip() or len(platform_agent_id) > 300:
            raise ConfigurationError(f"platform_agent_id is {platform_agent_id!r}; expected an id of {platform}")
        made: CallSourceSpec = read(CallSourceSpec, spec, "the source of calls")
        if made.api_key is not None and is_written_out("api_key", made.api_key):
            raise ConfigurationError("api_key holds a key that is written out; name a secret instead, as ${NAME}")
        if made.url is not None and is_written_out("url", made.url):
            raise ConfigurationError("url holds a credential that is written out; name a secret instead, as ${NAME}")
        return await Calls(self.database).put_source(self.project.id, platform, platform_agent_id, agent_id, made)

    async def list_call_sources(self, *, agent_id: str | None = None) -> list[CallSource]:
        """Where calls come from; of one agent if it is given."""
        return await Calls(self.database).list_sources(self.project.id, agent_id=agent_id)

    async def get_call_source(self, source_id: str) -> CallSource | None:
        """The source with that id."""
        found = await Calls(self.database).list_sources(self.project.id, source_id=source_id)
        return found[0] if found else None

    async def delete_call_source(self, source_id: str) -> bool:
        """Delete a source with all its calls."""
        return await Calls(self.database).delete_source(self.project.id, source_id)

    async def pull_calls(self, source_id: str, *, pages: int = MOST_PAGES) -> PulledCalls:
        """Fetch the calls of a source that are not here yet, the newest first.

        Args:
            source_id: of the source.
            pages: of 100 calls; at most 20. What is left is fetched the next time.

        Raises:
            NotFoundError: there is no such source.
            ConfigurationError: there is no key, or the platform refused it.
            PlatformError: the platform did not answer in time. What was fetched until then stays.
        """
        if not 1 <= pages <= MOST_PAGES:
            raise ConfigurationError(f"pages is {pages}; expected 1 to {MOST_PAGES}")
        source = await self.get_call_source(source_id)
        if source is None:
            raise NotFoundError(f'Source of calls with id "{source_id}" not found')
        platform, access = platform_named(source.platform), await self.access()
        try:
            key = expand(source.spec.api_key or f"${{{platform.KEY}}}", access.values, secret=True)
            url = expand_url(source.spec.url, access.values) if source.spec.url else platform.URL
        except ConfigurationError as error:
            raise ConfigurationError(f"the calls of {platform.NAME} cannot be fetched: {error}") from error
        private = source.spec.allow_private_addresses and access.private_addresses
        api = api_of(platform, key, url, self.database.context.clock, private=private)
        return await CallPull(Calls(self.database), source, api, pages=pages).run()

    # Calls

    async def list_calls(
        self,
        *,
        agent_id: str | None = None,
        source_id: str | None = None,
        label: str | None = None,
        seen: bool | None = None,
        limit: int | None = None,
        after: str | None = None,
    ) -> list[ProductionCall]:
        """The calls without what was said, those that began last first.

        Args:
            agent_id, source_id, label: only those; None for all.
            seen: only those that somebody has looked at, or nobody has.
            limit: at most so many; None for all.
            after: the id of the last one of the page before.
        """
        return await Calls(self.database).list_calls(
            self.project.id,
            agent_id=agent_id,
            source_id=source_id,
            label=_label(label),
            seen=seen,
            limit=limit,
            after=after,
        )

    async def get_call(self, call_id: str, *, mark_seen: bool = False) -> ProductionCall | None:
        """The call with that id, with what its platform says.

        Args:
            call_id: of the call.
            mark_seen: remember that somebody has looked at it, if nobody has before.
        """
        store = Calls(self.database)
        found = await store.get_call(self.project.id, call_id)
        if found is None or not mark_seen or found.seen_at is not None:
            return found
        await store.change_call(self.project.id, call_id, seen_at=True)
        return await store.get_call(self.project.id, call_id)

    async def find_call(self, name: str) -> ProductionCall | None:
        """The call with that id, or with that id at its platform; without what was said."""
        return await Calls(self.database).find_call(self.project.id, name)

    async def call_recording(self, call_id: str) -> Recording:
        """The conversation of a call, as a recording; its ``error`` says why there is none.

        Raises:
            NotFoundError: there is no such call.
        """
        return recording_of(await self._required_call(call_id))

    async def record_call(self, call_id: str) -> str:
        """Store a call as a run without a verdict, so that it can be labelled like one; the id of the run.

        A call that was recorded before has the same run.

        Raises:
            NotFoundError: there is no such call.
            ConfigurationError: nothing was said in it.
        """
        call = await self._required_call(call_id)
        recording = recording_of(call)
        if recording.error is not None:
            raise ConfigurationError(f"the call {call_id} cannot become a run: {recording.error}")

        def work(connection: Connection) -> str:
            return record_call(connection, self.project, call, recording, self.database.now(connection))

        return await self.database.write(work)

    async def label_call(self, call_id: str, label: str | None) -> ProductionCall | None:
        """Say that a call was ``good`` or ``bad``; None takes the label away."""
        chosen = _label(label)
        await Calls(self.database).change_call(self.project.id, call_id, label=chosen)
        return await self.get_call(call_id)

    async def delete_call(self, call_id: str) -> bool:
        """Delete what was said in a call. It is not fetched again."""
        return await Calls(self.database).delete_call(self.project.id, call_id)

    async def create_test_case_from_call(
        self,
        call_id: str,
        *,
        write: bool = True,
        instructions: str = "",
        model: str | Model | None = None,
        save: bool = True,
        scope: RunScope | None = None,
    ) -> TestCases:
        """Make a test case of a call.

        Args:
            call_id: of the call.
            write: let a model write it: a situation, a goal, criteria. Else no model is asked: the user's words become
                fixed turns, and criteria have to be added.
            instructions: what else matters, for the model.
            model, save, scope: as for :meth:`generate_test_cases`.

        Raises:
            NotFoundError: there is no such call.
            ConfigurationError: no user speaks in it, or there is no model.
            ModelError: the model gave no usable answer.
        """
        call = await self._required_call(call_id)
        recording = recording_of(call)
        if recording.error is not None:
            raise ConfigurationError(f"the call {call_id} cannot become a test case: {recording.error}")
        told = f"{call.platform} call {call.platform_call_id}"
        if write:
            return await self.create_test_case_from_conversation(
                [item.message for item in recording.messages if item.message["role"] != "system"],
                agent_id=call.agent_id,
                instructions=instructions,
                source=told,
                model=model,
                save=save,
                scope=scope,
            )
        made = scenarios_from([recording])
        if not made:
            raise ConfigurationError(f"no user speaks in the call {call_id}, so that there is nothing to rehearse")
        scenario = made[0].changed(annotations={**made[0].annotations, SOURCE: told})
        if not save:
            return TestCases(scenarios=(scenario,))
        saved, _ = await SavedCases(self.database).save_cases(self.project.id, [scenario], [])
        return TestCases(scenarios=tuple(item.spec for item in saved), saved=saved)

    async def _required_call(self, call_id: str) -> ProductionCall:
        found = await self.get_call(call_id)
        if found is None:
            raise NotFoundError(f'Call with id "{call_id}" not found')
        return found


def _label(label: str | None) -> Any:
    if label is not None and label not in LABELS:
        raise ConfigurationError(f"label is {label!r}; expected good, bad or None")
    return label
