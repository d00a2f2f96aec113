"""One turn of an agent that is made of a model: ask, call the tools that it wants, ask again, until it has answered."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from duologue.agents.native.context import Window
from duologue.agents.native.guardrails import replacement
from duologue.agents.native.instruction import Instruction
from duologue.agents.native.workflow import ARTIFACT_TOOL, TRANSITION_TOOL, WorkflowFault, WorkflowRun
from duologue.agents.tools.call import ToolAnswer
from duologue.agents.tools.session import ToolSession
from duologue.errors import AgentError
from duologue.journal.events import ToolCalled
from duologue.messages import (
    Message,
    ToolCall,
    arguments_of,
    assistant_message,
    system_message,
    text_of,
    tool_calls_of,
    tool_message,
)
from duologue.models.ask import ask
from duologue.models.base import Model, ModelAnswer, ModelRequest, ToolChoice, ToolSpec
from duologue.models.scope import RunScope
from duologue.specs.agent_definition import SamplingParams
from duologue.specs.scenario import Turn

MAX_ROUNDS = 50
"""How often a model is asked in one turn, unless the policy says otherwise."""
MAX_COST = 2.0
"""US dollars that one turn may cost, unless the policy says otherwise."""
_OWN_TOOLS = (TRANSITION_TOOL, ARTIFACT_TOOL)
_PRETTY = json.JSONEncoder(indent=2, ensure_ascii=False, default=str).encode


@dataclass(kw_only=True)
class Exchange:
    """One turn.

    Attributes:
        model: who is asked.
        instruction: its prompt and rules.
        sampling: how it writes.
        offered: the tools that it may call.
        tools: runs them; None where there are none.
        workflow: answers its own tools; None without one.
        window: what is sent of a long conversation; None for all of it.
        scope: of the run.
        turn: of the script; None outside one.
        history: the conversation before this turn's answers, the user's message included.
        written: what the agent has said and what its tools have answered, so far.
        calls: which call of the model wrote which of these messages, by its place.
    """

    model: Model
    instruction: Instruction
    sampling: SamplingParams
    offered: tuple[ToolSpec, ...]
    tools: ToolSession | None
    workflow: WorkflowRun | None
    window: Window | None
    scope: RunScope
    turn: Turn | None
    history: list[Message]
    written: list[Message] = field(default_factory=list[Message])
    calls: dict[int, str] = field(default_factory=dict[int, str])

    async def run(self) -> None:
        """Answer; everything that is said is in ``written``.

        Raises:
            AgentError: the model was asked too often, or the turn has cost too much.
            ModelError: the model did not answer.
        """
        policy = self.instruction.policy
        choice: ToolChoice = policy.tool_choice if self.offered else "auto"
        rounds = MAX_ROUNDS if policy.max_rounds is None else max(policy.max_rounds, 1)
        most = MAX_COST if policy.max_cost_usd is None else policy.max_cost_usd
        cost = 0.0
        for _ in range(rounds):
            answer = await ask(self.model_now(), await self._request(choice), self.scope)
            cost += answer.cost or 0.0
            calls = await self._say(answer)
            if not calls:
                return
            if cost > most:
                raise AgentError(
                    f"this turn has cost ${cost:.4g} and is not over; at most ${most:g} are allowed. Raise "
                    "max_cost_usd in the tool policy if it is meant to"
                )
            for call in calls:
                await self._call(call)
            choice = "auto"
        raise AgentError(
            f"the model was asked {rounds} times in one turn and still calls tools; raise max_rounds in the tool "
            "policy if it is meant to"
        )

    def model_now(self) -> Model:
        """The model; a mock gets its place in the conversation, where the request does not show it."""
        at: Callable[..., Model] | None = getattr(self.model, "at", None)
        if at is None or (self.window is None and self.workflow is None):
            return self.model
        return at(messages=[*self.history, *self.written], step=self.workflow.state if self.workflow else None)

    async def _request(self, choice: ToolChoice) -> ModelRequest:
        text = self.instruction.text
        messages: Sequence[Message] = [*self.history, *self.written]
        if self.window is not None:
            messages = await self.window.fitted(text, messages)
        sent = (system_message(text), *messages) if text else tuple(messages)
        sampling, turn = self.sampling, self.turn
        temperature = turn.agent_temperature if turn and turn.agent_temperature is not None else sampling.temperature
        return ModelRequest(
            messages=sent,
            tools=self.offered,
            tool_choice=choice,
            temperature=temperature,
            max_tokens=sampling.max_tokens,
            seed=turn.seed if turn else None,
            extra=sampling.extra,
        )

    async def _say(self, answer: ModelAnswer) -> list[ToolCall]:
        """Take the answer into the conversation; the calls that it asks for, [] if the turn is over."""
        message = answer.message.copy()
        if answer.refusal is not None and not text_of(message):
            message["content"] = answer.refusal
        guards = self.instruction.guards
        if guards and (text := text_of(message)):
            instead = await replacement(guards, text, "output", self.scope)
            if instead is not None:
                self.written.append(assistant_message(instead))
                return []
        calls = tool_calls_of(message)
        if calls:
            calls = self._named_apart(calls)
            message["tool_calls"] = calls
        self.calls[len(self.written)] = answer.call
        self.written.append(message)
        return calls

    def _named_apart(self, calls: Sequence[ToolCall]) -> list[ToolCall]:
        """The calls under ids that no other call of the conversation has: some models count from 0 every time."""
        taken = {call["id"] for message in (*self.history, *self.written) for call in tool_calls_of(message)}
        made: list[ToolCall] = []
        for call in calls:
            name, number = call["id"] or "call", 1
            while (fresh := name if number == 1 else f"{name}_{number}") in taken:
                number += 1
            taken.add(fresh)
            made.append({"id": fresh, "type": "function", "function": call["function"]})
        return made

    async def _call(self, call: ToolCall) -> None:
        answer = self._own(call) or self._refused(call)
        if answer is None and self.tools is not None:
            answer = await self.tools.call(call, scope=self.scope, turn=self.turn, policy=self.instruction.policy)
        else:
            answer = answer or _failed(f"tool not found: {call['function']['name']}")
            await self._record(call, answer)
        if isinstance(answer.content, str):
            self.written.append(tool_message(call["id"], answer.content))
        else:
            self.written.append({"role": "tool", "tool_call_id": call["id"], "content": answer.content})

    def _own(self, call: ToolCall) -> ToolAnswer | None:
        """What the workflow answers to its own tools; None for any other."""
        name = call["function"]["name"]
        if self.workflow is None or name not in _OWN_TOOLS:
            return None
        try:
            value = self.workflow.ask(name, arguments_of(call), self.scope.context.clock.monotonic())
        except WorkflowFault as fault:
            return _failed(str(fault))
        return ToolAnswer(content=_PRETTY(value), value=value)

    def _refused(self, call: ToolCall) -> ToolAnswer | None:
        """Why a call is not made: nobody offered that tool, or the workflow has no calls left."""
        name = call["function"]["name"]
        known = name in self.instruction.tools or name in self.instruction.policy.blocklist
        if not known:
            return _failed(f"tool not found: {name}")
        if self.workflow is not None:
            try:
                self.workflow.count_call(self.scope.context.clock.monotonic())
            except WorkflowFault as fault:
                return _failed(str(fault))
        return None

    async def _record(self, call: ToolCall, answer: ToolAnswer) -> None:
        journal, id = self.scope.journal, self.scope.next_call()
        if journal is None or await journal.recorded_outcome(id) is not None:
            return
        if journal.recorded is not None:
            await journal.caught_up()
        journal.append(
            ToolCalled(
                name=call["function"]["name"],
                turn=self.scope.turn,
                call_id=call["id"],
                arguments=arguments_of(call),
                result=answer.value,
                content=answer.content,
                error=answer.error,
                call=id,
                participant=self.scope.participant,
            )
        )


def _failed(error: str) -> ToolAnswer:
    return ToolAnswer(content=f"Error: {error}", error=error)
