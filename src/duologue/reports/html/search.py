"""Words looked for in the conversations of an execution, a part at a time.

Conversations are read as JSON, one after another, and only hits are kept. An execution of ten thousand runs is not read
for one search: whoever looks stops when the time is over, says how far it got, and goes on from there when asked to.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Hashable, Iterator, Mapping, Sequence
from threading import Lock
from typing import Any, cast

from duologue.frozen import frozen

Json = dict[str, Any]

PART = 50
"""Runs that are read at once."""
SECONDS = 0.8
"""How long one look takes at most, but for the part that it is reading then."""
_AROUND = 60
"""Characters that an excerpt has on each side of what was found."""
_KEPT = 32
"""Searches that can go on."""
_LONGEST = 500
"""Characters of what is looked for."""


@frozen
class Hit:
    """Where a conversation has the words.

    Attributes:
        message: the id of the first message that has them; None if another text of the run does.
        before, found, after: an excerpt of it.
    """

    message: str | None
    before: str
    found: str
    after: str

    def data(self) -> Json:
        """See ``Hit`` in ``source.js``."""
        return {"message": self.message, "before": self.before, "found": self.found, "after": self.after}


class MessageSearch:
    """One search in one execution.

    Args:
        words: what is looked for, in any case and with any white space between.
    """

    def __init__(self, words: str) -> None:
        self._phrase = _small(_flat(words[:_LONGEST].strip()))
        self._longest = max(self._phrase.split(" "), key=len)
        self._seen: dict[str, tuple[Hashable, Hit | None]] = {}

    def left(self, lines: Sequence[Mapping[str, Any]]) -> list[str]:
        """The runs whose conversations were not looked at yet, or have changed since."""
        seen = self._seen
        return [line["id"] for line in lines if line["id"] not in seen or seen[line["id"]][0] != _state(line)]

    def take(self, line: Mapping[str, Any], run: object) -> None:
        """Look at a run.

        Args:
            line: of the list.
            run: its result as JSON; anything else for one that cannot be read.
        """
        hit = self._hit(cast("Json", run)) if isinstance(run, dict) else None
        self._seen[line["id"]] = (_state(line), hit)

    def hit(self, run_id: str) -> Hit | None:
        """What was found in a run."""
        return self._seen[run_id][1] if run_id in self._seen else None

    def _hit(self, run: Json) -> Hit | None:
        for message, text in _texts(run):
            if self._longest not in _small(text):
                continue

            # No regular expression: with words that repeat themselves, one takes a minute for a text of a megabyte.
            flat = _flat(text)
            begin = _small(flat).find(self._phrase)
            if begin >= 0:
                end = begin + len(self._phrase)
                first, last = max(0, begin - _AROUND), min(len(flat), end + _AROUND)
                return Hit(
                    message=message,
                    before=("…" if first else "") + flat[first:begin],
                    found=flat[begin:end],
                    after=flat[end:last] + ("…" if last < len(flat) else ""),
                )
        return None


class Searches:
    """Searches that can go on, the newest of all executions."""

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[Hashable, str], MessageSearch] = OrderedDict()
        self._lock = Lock()

    def of(self, execution: Hashable, words: str) -> tuple[MessageSearch, bool]:
        """The search for these words, and whether it is a new one."""
        key = (execution, words.lower())
        with self._lock:
            found = self._kept.pop(key, None)
            made = found or MessageSearch(words)
            self._kept[key] = made
            while len(self._kept) > _KEPT:
                self._kept.popitem(last=False)
        return made, found is None


def _state(line: Mapping[str, Any]) -> Hashable:
    return line["outcome"], line["seconds"]


def _texts(run: Json) -> Iterator[tuple[str | None, str]]:
    for item in _objects(run.get("messages")):
        message = item.get("message")
        said = _said(cast("Json", message)) if isinstance(message, dict) else ""
        if said:
            yield str(item.get("id") or ""), said
    if isinstance(about := run.get("description"), str):
        yield None, about
    for item in _objects(run.get("checks")):
        yield None, str(item.get("name") or "")


def _said(message: Json) -> str:
    content = message.get("content")
    parts = [content] if isinstance(content, str) else [str(part.get("text") or "") for part in _objects(content)]
    for call in _objects(message.get("tool_calls")):
        function = call.get("function")
        if isinstance(function, dict):
            parts += [str(cast("Json", function).get(name) or "") for name in ("name", "arguments")]
    return "\n".join(filter(None, parts))


def _objects(value: object) -> list[Json]:
    items = cast("list[object]", value) if isinstance(value, list) else []
    return [cast("Json", item) for item in items if isinstance(item, dict)]


def _flat(text: str) -> str:
    return re.sub(r"\s+", " ", text)


def _small(text: str) -> str:
    """In small letters, each in the place of its own: of all letters only İ would become two."""
    return text.replace("İ", "i").lower().replace("ς", "σ")


def filtered(lines: Sequence[Json], wanted: Mapping[str, str]) -> list[Json]:
    """The runs that filters leave, which are named as the address of the page names them."""
    found = list(lines)
    if outcomes := wanted.get("outcome"):
        chosen = set(outcomes.split(","))
        found = [line for line in found if line["outcome"] in chosen]
    for name in ("scenario", "agent", "persona"):
        if value := wanted.get(name):
            found = [line for line in found if line[name] == value]
    if tag := wanted.get("tag"):
        found = [line for line in found if tag in line["tags"]]
    return found


def found_page(
    lines: Sequence[Json], words: str, search: MessageSearch | None, *, offset: int, limit: int, around: str | None
) -> Json:
    """A part of a list of runs; see ``RunPage`` in ``source.js``.

    Args:
        lines: that the other filters leave.
        words: that are looked for; none for all runs.
        search: in the conversations of these runs.
        offset, limit: which part.
        around: the id of a run whose place is asked for.
    """
    words = words.strip().lower()
    hits = {line["id"]: hit for line in lines if search is not None and (hit := search.hit(line["id"]))}
    found = [line for line in lines if not words or line["id"] in hits or words in _haystack(line)]
    at = next((place for place, line in enumerate(found) if line["id"] == around), -1) if around else -1
    first = max(0, offset)
    shown = found[first : first + max(0, min(limit, 1000))]
    made: Json = {
        "runs": [{**line, "hit": hits[line["id"]].data()} if line["id"] in hits else line for line in shown],
        "offset": first,
        "total": len(found),
        "at": at,
    }
    if search is not None:
        ended = _ended(lines)
        made["searched"] = {"done": len(ended) - len(search.left(ended)), "of": len(ended)}
    return made


def parts_left(search: MessageSearch, lines: Sequence[Json]) -> Iterator[list[Json]]:
    """What is still to be looked at, in parts. Each part is taken before the next one is asked for."""
    left = set(search.left(ended := _ended(lines)))
    waiting = [line for line in ended if line["id"] in left]
    for begin in range(0, len(waiting), PART):
        yield waiting[begin : begin + PART]


def _ended(lines: Sequence[Json]) -> list[Json]:
    return [line for line in lines if line["outcome"] not in {"running", "queued"}]


def _haystack(line: Json) -> str:
    return "\n".join([line["title"], line["id"], line["reason"], *line["tags"]]).lower()
