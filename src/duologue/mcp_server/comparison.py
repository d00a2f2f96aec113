"""A comparison of two executions, in a text that says what changed and on which evidence."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from duologue.mcp_server.answers import DATA, bounded, data
from duologue.terminal_text import one_line

_CASES, _FLIPS, _CHANGES, _LINES = 15, 4, 8, 4


def comparison_text(found: Mapping[str, Any]) -> str:
    """The comparison, the weightiest first.

    Args:
        found: as :meth:`duologue.suites.comparison.Comparison.as_data` says it.
    """
    overall = found["overall"]
    rates = f"{_rate(overall['first'])} -> {_rate(overall['second'])}"
    counts = ", ".join(f"{overall[word]} {word}" for word in ("better", "worse", "tied", "undecided"))
    parts = [
        f"candidate {found['second']['id']} against baseline {found['first']['id']}: {overall['verdict']}",
        one_line(overall["reason"]),
        f"pass rate {rates}, difference {_difference(overall['difference'])}",
        f"cases: {counts}",
    ]
    if overall["further_trials"]:
        parts.append(f"about {overall['further_trials']} more trials of each case and side would decide")
    parts += _listed("cases that differ", [_case(item) for item in found["cases"] if item["verdict"] != "tied"], _CASES)
    parts += _listed(
        "checks that differ", [_check(item) for item in found["checks"] if item["verdict"] != "tied"], _CASES
    )
    parts += _listed("means per run", [_measure(item) for item in found["measures"]], _CASES)
    parts += _listed("configured differently", [_change(item) for item in found["changes"]], _CHANGES)
    flips = found["flips"]
    if flips:
        parts += ["", f"trials with another verdict ({found['flips_in_all']} in all). {DATA}"]
        parts += [line for item in flips[:_FLIPS] for line in _flip(item)]
    for title, names in (
        ("only in the baseline", found["only_first"]),
        ("only in the candidate", found["only_second"]),
    ):
        if names:
            parts.append(f"{title}: {'; '.join(one_line(name, 100) for name in names[:_CASES])}")
    parts += [f"note: {one_line(note)}" for note in found["notes"]]
    return bounded("\n".join(parts))


def _listed(title: str, lines: list[str], most: int) -> list[str]:
    if not lines:
        return []
    rest = [f"- … {len(lines) - most} more"] if len(lines) > most else []
    return [f"{title}:", *lines[:most], *rest]


def _rate(rate: Mapping[str, Any]) -> str:
    value = rate["value"]
    return "unknown" if value is None else f"{value:.0%} of {rate['decided']}"


def _number(value: Any) -> str:
    return "?" if value is None else f"{value:+.3g}"


def _difference(found: Mapping[str, Any]) -> str:
    return f"{_number(found['value'])} [{_number(found['low'])}, {_number(found['high'])}]"


def _case(item: Mapping[str, Any]) -> str:
    return (
        f"- {item['verdict']}: {one_line(item['title'], 120)}: {_rate(item['first'])} -> {_rate(item['second'])} "
        f"({one_line(item['reason'], 200)})"
    )


def _check(item: Mapping[str, Any]) -> str:
    return f"- {item['verdict']}: {one_line(item['name'], 120)}: {_rate(item['first'])} -> {_rate(item['second'])}"


def _measure(item: Mapping[str, Any]) -> str:
    return (
        f"- {item['name']}: {item['first']:.4g} -> {item['second']:.4g} {item['unit']}, "
        f"difference {_difference(item['difference'])}"
    )


def _change(item: Mapping[str, Any]) -> str:
    name = f" {one_line(item['name'], 100)}" if item["name"] else ""
    if item["diff"]:
        return f"- {item['part']}{name}: " + " / ".join(data(line, 160) for line in item["diff"][:_LINES])
    return f"- {item['part']}{name}: {data(str(item['first']), 160)} -> {data(str(item['second']), 160)}"


def _flip(item: Mapping[str, Any]) -> Iterable[str]:
    first, second = item["first"], item["second"]
    yield f"- {one_line(item['title'], 120)} ({item['trial']}): {first['outcome']} -> {second['outcome']}"
    for word, side in (("baseline", first), ("candidate", second)):
        why = f", because {data(side['reason'], 300)}" if side["reason"] else ""
        yield f"  {word}: run {side['run_id']}{why}"
    if (start := item["apart_from"]) is not None:
        for word, side in (("baseline", first), ("candidate", second)):
            for said in side["messages"][start : start + 2]:
                yield f"  {word} [{one_line(said['id'])}] {said['role']}: {data(said['text'], 300)}"
