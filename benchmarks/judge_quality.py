"""How often the embedded model is right as a judge, and which way of asking it is the best.

    python benchmarks/judge_quality.py [--all | --variants NAME …] [--conversations N] [--model local]

Without ``--all`` only the way that is set is measured, in about a minute; all of them take twenty. Says so and does
nothing where the weights of the model are not installed.

The labelled set is ``tests/live/judged_conversations.jsonl``: 30 conversations that the authors wrote for it, each with
one to three criteria. The labels were set by hand when the conversations were written, before any model had seen them;
each has its reason beside it. Half of the criteria are met. ``kind`` says what makes a conversation hard.

Two ways of asking are compared. With ``json`` the model writes an answer that a grammar keeps in its form: the whole
judgement that larger models write, or a reason and a decision, or the decision alone. With ``yes/no`` only the
probabilities of its next word are read, in its chat form or after a text of examples, with the criterion before the
conversation, after it, or both. "against nothing" subtracts the log odds of yes that the model gives when nothing was
said. "left out": each conversation is decided with the threshold that is best on the other 29. "picked, left out": with
the prompt that is best on them, too, which tells how much of the best row is luck.

An answer that is no decision is not right, and no false pass either. Accuracy has Wilson's interval; that of kappa is a
bootstrap that draws conversations, because the criteria of one are not independent. Prints a table and one JSON line.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from time import perf_counter
from typing import Any

from _judge_ways import DEFAULT, PROMPTS, WRITTEN, Conversation, by_probability, read_labelled

from duologue.errors import ConfigurationError
from duologue.models.base import CompletionModel
from duologue.models.local import LocalModel
from duologue.stats.agreement import kappa_interval
from duologue.stats.proportion import wilson
from duologue.vocabulary import Decision


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What a variant said of each criterion, in the order of the set."""

    decisions: list[Decision]
    seconds: float | None


def above(scores: Sequence[float], threshold: float = 0.0) -> list[Decision]:
    """Met from the threshold on."""
    return [Decision.MET if score >= threshold else Decision.UNMET for score in scores]


def best_threshold(scores: Sequence[float], met: Sequence[bool]) -> float:
    """The middle between two scores that separates most labels; the one nearest to 0 of several."""
    ordered = sorted(set(scores))
    between = [(one + other) / 2 for one, other in pairwise(ordered)]
    return max(between or [0.0], key=lambda value: (right(above(scores, value), met), -abs(value)))


def left_out(ways: Sequence[Sequence[float]], labelled: Sequence[Conversation]) -> list[Decision]:
    """For each conversation the way and the threshold that are best on all others."""
    met, owner = labels(labelled), owners(labelled)
    decisions: list[Decision] = []
    for item in labelled:
        others = [index for index, name in enumerate(owner) if name != item.id]
        own = [index for index, name in enumerate(owner) if name == item.id]
        known = [met[index] for index in others]

        def fitted(way: Sequence[float], others: list[int] = others, known: list[bool] = known) -> tuple[int, float]:
            seen = [way[index] for index in others]
            threshold = best_threshold(seen, known)
            return right(above(seen, threshold), known), threshold

        way = max(ways, key=lambda way: fitted(way)[0])
        decisions += above([way[index] for index in own], fitted(way)[1])
    return decisions


def labels(labelled: Sequence[Conversation]) -> list[bool]:
    return [label for item in labelled for label in item.met]


def owners(labelled: Sequence[Conversation]) -> list[str]:
    return [item.id for item in labelled for _ in item.met]


def right(decisions: Sequence[Decision], met: Sequence[bool]) -> int:
    """How many decisions agree with their label."""
    return sum(item is expected(label) for item, label in zip(decisions, met, strict=True))


def expected(met: bool) -> Decision:
    return Decision.MET if met else Decision.UNMET


async def measured(
    model: CompletionModel, labelled: Sequence[Conversation], wanted: Callable[[str], bool]
) -> dict[str, Outcome]:
    """Every variant that is wanted, by name."""
    await model.complete("Hello", max_tokens=1)  # loads the weights
    found: dict[str, Outcome] = {}
    for name, decide in WRITTEN.items():
        if wanted(name):
            began = perf_counter()
            decisions = [said for item in labelled for said in await decide(model, item)]
            found[name] = Outcome(decisions=decisions, seconds=perf_counter() - began)
    ways: list[list[float]] = []
    for name, prompt in PROMPTS.items():
        if wanted(name):
            found |= _rows(name, await by_probability(model, prompt, labelled), labelled, ways)
    if ways:
        picked = left_out(ways, labelled)
        found["yes/no, picked, left out"] = Outcome(decisions=picked, seconds=None)
    return found


def _rows(
    name: str,
    asked: tuple[list[float], float, list[float], float],
    labelled: Sequence[Conversation],
    ways: list[list[float]],
) -> dict[str, Outcome]:
    scores, seconds, nothing, more = asked
    against = [score - other for score, other in zip(scores, nothing, strict=True)]
    ways += [scores, against]
    more += seconds
    return {
        name: Outcome(decisions=above(scores), seconds=seconds),
        f"{name}, against nothing": Outcome(decisions=above(against), seconds=more),
        f"{name}, against nothing, left out": Outcome(decisions=left_out([against], labelled), seconds=more),
    }


def figures(outcome: Outcome, labelled: Sequence[Conversation]) -> dict[str, Any]:
    """What is printed of a variant."""
    decisions, met = outcome.decisions, labels(labelled)
    of_met = [item for item, label in zip(decisions, met, strict=True) if label]
    of_unmet = [item for item, label in zip(decisions, met, strict=True) if not label]
    shares = [of_met.count(Decision.MET) / len(of_met), of_unmet.count(Decision.UNMET) / len(of_unmet)]
    interval = wilson(right(decisions, met), len(met))
    kappa = kappa_interval(decisions, [expected(label) for label in met], groups=owners(labelled))
    return {
        "right": interval.successes,
        "of": interval.total,
        "accuracy_interval": [round(interval.low, 3), round(interval.high, 3)],
        "balanced_accuracy": round(sum(shares) / 2, 3),
        "kappa": kappa and round(kappa.kappa, 3),
        "kappa_interval": kappa and [round(kappa.low, 3), round(kappa.high, 3)],
        "false_passes": of_unmet.count(Decision.MET),
        "unmet": len(of_unmet),
        "undecided": decisions.count(Decision.INCONCLUSIVE),
        "seconds_per_criterion": outcome.seconds and round(outcome.seconds / len(met), 2),
    }


HEAD = ("variant", "right", "accuracy", "balanced", "kappa", "false passes", "undecided", "s each")
WIDTHS = (44, 7, 18, 9, 22, 13, 10, 7)


def row(name: str, found: dict[str, Any]) -> tuple[str, ...]:
    """One line of the table."""
    low, high = found["accuracy_interval"]
    kappa_low, kappa_high = found["kappa_interval"] or (math.nan, math.nan)
    return (
        name,
        f"{found['right']}/{found['of']}",
        f"{found['right'] / found['of']:.0%} ({low:.0%} to {high:.0%})",
        f"{found['balanced_accuracy']:.0%}",
        f"{found['kappa']:.2f} ({kappa_low:.2f} to {kappa_high:.2f})",
        f"{found['false_passes']}/{found['unmet']}",
        str(found["undecided"]),
        str(found["seconds_per_criterion"] or ""),
    )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--conversations", type=int, default=None, help="only the first so many")
    parser.add_argument("--model", default="local")
    parser.add_argument("--variants", nargs="+", default=[DEFAULT], help="those whose name begins so")
    parser.add_argument("--all", action="store_true", help="every way of asking")
    options = parser.parse_args()
    labelled = read_labelled()[: options.conversations]
    names = [""] if options.all else options.variants
    try:
        model = LocalModel.from_config(options.model)
    except ConfigurationError as error:
        print(f"not measured: {error}")
        return
    outcomes = asyncio.run(measured(model, labelled, lambda name: any(name.startswith(start) for start in names)))
    table = {name: figures(outcome, labelled) for name, outcome in outcomes.items()}
    print(f"{model.name}, {len(labels(labelled))} criteria of {len(labelled)} conversations")
    for cells in (HEAD, *(row(name, found) for name, found in table.items())):
        print(" ".join(f"{cell:<{width}}" for cell, width in zip(cells, WIDTHS, strict=True)).rstrip())
    print(json.dumps({"benchmark": "judge_quality", "model": model.name, "default": DEFAULT, "variants": table}))


if __name__ == "__main__":
    main()
