"""How long the agent took, and what the run has cost in money and tokens, as far as the journal knows.

What is not recorded is skipped with the reason: an agent behind an address keeps its own bill.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar, Self

from pydantic import Field, model_validator

from duologue.checks.base import CheckType, Finding, broken, finding, skipped
from duologue.checks.registry import check
from duologue.checks.subject import Subject
from duologue.journal.events import AgentCalled, Event, ModelCalled, Usage
from duologue.models.resources import Resources
from duologue.vocabulary import AgentRole


@check("latency_budget", aliases=["max_latency"], family="Time and cost")
class LatencyBudget(CheckType):
    """The agent took no longer than this in any turn. Above it, the score is the limit divided by the longest time."""

    renamed: ClassVar = {"max_latency_ms": "max_ms"}

    max_ms: float = Field(gt=0)
    """Maximum time for all calls of the agent in one turn together, in milliseconds."""

    def look(self, subject: Subject, resources: Resources) -> Finding:
        by_turn: dict[int, float] = {}
        roles = _roles(subject)
        for event in _events(subject):
            if isinstance(event, AgentCalled) and roles.get(event.participant) is AgentRole.AGENT:
                by_turn[event.turn] = by_turn.get(event.turn, 0.0) + event.seconds * 1000
        if not by_turn:
            return skipped("the run has recorded no time that the agent took")
        turn, longest = max(by_turn.items(), key=lambda item: item[1])
        told = f"{longest:.0f} ms in turn {turn + 1}, at most {self.max_ms:g} ms allowed"
        return finding(self.max_ms / max(longest, 1e-9), told, latency_ms=by_turn)


@check("cost_budget", aliases=["token_budget"], family="Time and cost")
class CostBudget(CheckType):
    """The model calls recorded so far stay within these limits of cost and tokens."""

    max_cost_usd: float | None = Field(default=None, ge=0)
    """Maximum cost, in US dollars."""
    max_input_tokens: int | None = Field(default=None, ge=0)
    """Maximum number of input tokens."""
    max_output_tokens: int | None = Field(default=None, ge=0)
    """Maximum number of output tokens."""
    max_total_tokens: int | None = Field(default=None, ge=0)
    """Maximum number of input and output tokens together."""
    asker: str | None = None
    """Name of the participant whose calls are counted. Default: all calls."""

    @model_validator(mode="after")
    def _has_a_limit(self) -> Self:
        limits = (self.max_cost_usd, self.max_input_tokens, self.max_output_tokens, self.max_total_tokens)
        if all(limit is None for limit in limits):
            raise ValueError("max_cost_usd, max_input_tokens, max_output_tokens or max_total_tokens")
        return self

    def look(self, subject: Subject, resources: Resources) -> Finding:
        spent = self._spent(subject)
        if spent is None:
            return skipped(f"no model calls{f' of {self.asker!r}' if self.asker else ''} are recorded here")
        usage, cost, unpriced = spent
        limits = [
            ("input tokens", usage.input_tokens, self.max_input_tokens),
            ("output tokens", usage.output_tokens, self.max_output_tokens),
            ("tokens", usage.total_tokens, self.max_total_tokens),
            ("US dollars", round(cost, 6), self.max_cost_usd),
        ]
        over = [f"{value} {name}, at most {limit} allowed" for name, value, limit in limits if _above(value, limit)]
        if not over and unpriced and self.max_cost_usd is not None:
            return broken(
                f"{unpriced} model calls have no known price, so their cost is not known; limit tokens instead"
            )
        told = "; ".join(over) or f"{usage.total_tokens} tokens, {cost:.6g} US dollars"
        tokens = {"input": usage.input_tokens, "output": usage.output_tokens}
        return finding(not over, told, cost_usd=cost, tokens=tokens)

    def _spent(self, subject: Subject) -> tuple[Usage, float, int] | None:
        """Tokens, dollars and calls without a price; None if nothing is recorded."""
        view = subject.input.state.view
        if subject.whole and self.asker is None and subject.input.scope.journal is None:
            return (view.usage, view.cost, view.unpriced_calls) if view.model_calls else None
        usage, cost, unpriced, calls = Usage(), 0.0, 0, 0
        for event in _events(subject):
            if isinstance(event, ModelCalled) and self.asker in {None, event.asker} and event.error is None:
                usage, calls = usage + event.usage, calls + 1
                unpriced += event.cost is None
                cost += event.cost or 0.0
        return (usage, cost, unpriced) if calls else None


def _events(subject: Subject) -> Iterator[Event]:
    """The events of the turns to look at."""
    journal = subject.input.scope.journal
    for entry in journal.entries if journal else []:
        if subject.covers(getattr(entry.event, "turn", -1)):
            yield entry.event


def _roles(subject: Subject) -> dict[int, AgentRole]:
    started = subject.input.state.view.started
    return {index: item.role for index, item in enumerate(started.participants)} if started else {}


def _above(value: float, limit: float | None) -> bool:
    return limit is not None and value > limit
