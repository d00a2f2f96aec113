"""What is wrong with the files of a suite, and where: collected, so that all of it can be reported at once.

A file is read into dictionaries and lists that know the place of everything in them, so that whoever finds a mistake
later, in a field or between two files, can say where it stands. What YAML is, is no business of this module.
Validation errors of pydantic are told in terms of the file: the place, what was found, what is expected.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, NamedTuple, TypeVar, Union, cast, get_args, get_origin

from pydantic import BaseModel, ValidationError

from duologue.errors import NOWHERE, Position, Problem, Severity, SuiteError


class Mark(NamedTuple):
    """Where one entry of a dictionary or list is written. ``raw`` is its text, if it is a word without quotes."""

    file: str
    field: str
    line: int
    column: int
    key_line: int
    key_column: int
    raw: str | None = None

    def value(self) -> Position:
        """Where the value begins."""
        return Position(self.file, self.line, self.column, self.field)

    def key(self) -> Position:
        """Where the name of the field stands; for an item of a list, the item."""
        return Position(self.file, self.key_line, self.key_column, self.field)


class PlacedDict(dict[str, Any]):
    """A mapping that knows where it is written, and where each of its fields is."""

    __slots__ = ("bytes", "home", "marks", "size")

    def __init__(
        self, home: Mark, values: Mapping[str, Any] | None = None, marks: dict[str, Mark] | None = None
    ) -> None:
        super().__init__(values or {})
        self.home = home
        self.marks: dict[str, Mark] = marks if marks is not None else {}
        self.size = 1
        """Values in it, itself included."""
        self.bytes = 0
        """Bytes of the texts in it."""

    def mark(self, key: str) -> Mark:
        """The mark of a field; that of the mapping, with the field's path, if the field is not written."""
        found = self.marks.get(key)
        return found or self.home._replace(field=join(self.home.field, key))

    def put(self, key: str, value: Any, mark: Mark) -> None:
        """Set a field that is written somewhere else."""
        self[key] = value
        self.marks[key] = mark

    def without(self, *keys: str) -> PlacedDict:
        """A copy that lacks some fields."""
        return PlacedDict(self.home, {key: value for key, value in self.items() if key not in keys}, dict(self.marks))


class PlacedList(list[Any]):
    """A list that knows where it is written, and where each of its items is."""

    __slots__ = ("bytes", "home", "marks", "size")

    def __init__(self, home: Mark, values: Sequence[Any] = (), marks: list[Mark] | None = None) -> None:
        super().__init__(values)
        self.home = home
        self.marks: list[Mark] = marks if marks is not None else []
        self.size = 1
        """Values in it, itself included."""
        self.bytes = 0
        """Bytes of the texts in it."""

    def mark(self, index: int) -> Mark:
        """The mark of an item; that of the list if there is none."""
        return self.marks[index] if 0 <= index < len(self.marks) else self.home

    def add(self, value: Any, mark: Mark) -> None:
        """Append an item that is written somewhere else."""
        self.append(value)
        self.marks.append(mark)


def join(path: str, part: str | int) -> str:
    """The path of a field or an item within what has that path."""
    if isinstance(part, int):
        return f"{path}[{part}]"
    return f"{path}.{part}" if path else part


def locate(data: Any, loc: Sequence[str | int]) -> tuple[Mark | None, bool]:
    """The mark of what a path leads to, and whether all of it is written there. Parts that lead nowhere are skipped."""
    mark: Mark | None = getattr(data, "home", None)
    whole = True
    for part in loc:
        if isinstance(data, PlacedDict) and isinstance(part, str):
            mark, whole = data.mark(part), part in data
            data = data.get(part)
        elif isinstance(data, PlacedList) and isinstance(part, int):
            mark, whole = data.mark(part), True
            data = data[part] if part < len(data) else None
    return mark, whole


def _value_at(data: Any, loc: Sequence[str | int]) -> Any:
    """What a path leads to, where all of it is written; parts that lead nowhere are skipped."""
    for part in loc:
        match data, part:
            case PlacedDict(), str() if part in data:
                data = data[part]
            case PlacedList(), int() if part < len(data):
                data = data[part]
            case _:
                pass
    return data


def plain(value: Any) -> Any:
    """The same data as ordinary dictionaries and lists that share nothing with it."""
    if isinstance(value, dict):
        return {key: plain(item) for key, item in cast("dict[str, Any]", value).items()}
    if isinstance(value, list):
        return [plain(item) for item in cast("list[Any]", value)]
    return value


OLD_BOOLEANS = {"y", "yes", "n", "no", "on", "off"}
"""What YAML 1.1 took for booleans, in lower case."""
_SHOWN = 60
_LISTED = 12
_REPORTED = 50
_LOOKED_AT = 500
"""Problems of one value that are put into words: that takes time for each, and nobody reads more."""


@dataclass(kw_only=True)
class Problems:
    """Everything that was found so far.

    Attributes:
        found: in the order in which it was found.
        bytes_read: how much the files hold that were read until here.
    """

    found: dict[Problem, None] = field(default_factory=dict[Problem, None])
    bytes_read: int = field(default=0, init=False)
    _wrong: set[Position] = field(default_factory=set[Position], init=False, repr=False)

    def __iter__(self) -> Iterator[Problem]:
        return iter(self.found)

    def error(self, place: Position | Mark, message: str) -> None:
        """Add an error. A mark stands for its value."""
        self._add(place, message, "error")

    def warning(self, place: Position | Mark, message: str) -> None:
        """Add a warning."""
        self._add(place, message, "warning")

    def _add(self, place: Position | Mark, message: str, severity: Severity) -> None:
        position = place.value() if isinstance(place, Mark) else place
        self.found.setdefault(Problem(position, message, severity))
        if severity == "error":
            self._wrong.add(position)

    @property
    def errors(self) -> list[Problem]:
        """Those that keep the suite from being used."""
        return [problem for problem in self.found if problem.severity == "error"]

    def has_error_at(self, position: Position) -> bool:
        """Whether something is known to be wrong there."""
        return position in self._wrong

    def in_order(self) -> tuple[Problem, ...]:
        """By file in the order of reading, then by line."""
        files = {problem.position.file: None for problem in self.found}
        order = {file: place for place, file in enumerate(files)}
        return tuple(
            sorted(self.found, key=lambda item: (order[item.position.file], item.position.line, item.position.column))
        )

    def raise_errors(self) -> None:
        """Raise all errors as one.

        Raises:
            SuiteError: there are errors.
        """
        errors = [problem for problem in self.in_order() if problem.severity == "error"]
        if errors:
            raise SuiteError(report(errors), errors)


def report(problems: Iterable[Problem]) -> str:
    """A line for each problem, the first fifty of them."""
    every = list(problems)
    lines = [str(problem) for problem in every[:_REPORTED]]
    if len(every) > _REPORTED:
        lines.append(f"… and {len(every) - _REPORTED} more")
    return "\n".join(lines)


def nearest(name: str, known: Iterable[str]) -> str:
    """``; did you mean 'x'?`` for the most similar known name, or ''."""
    names = {str(item).lower(): str(item) for item in known}
    matches = get_close_matches(str(name).lower(), list(names), n=1, cutoff=0.6)
    return f"; did you mean '{names[matches[0]]}'?" if matches else ""


def similar_file(path: Path) -> str:
    """A suggestion of a file with a similar name in the same folder; what a file is called counts, not its suffix."""
    try:
        with os.scandir(path.parent) as entries:
            names = [entry.name for _, entry in zip(range(1000), entries, strict=False)]
    except (OSError, ValueError):
        return ""
    stem = _letters(path.stem)
    for alike, cutoff in ((True, 0.6), (False, 0.75)):
        stems = {name: _letters(Path(name).stem) for name in names if (Path(name).suffix == path.suffix) is alike}
        near = get_close_matches(stem, stems.values(), n=1, cutoff=cutoff) if stem else []
        if found := next((name for name, held in stems.items() if held in near), None):
            return f"; did you mean '{found}'?"
    return ""


def is_misspelt(name: str, known: Iterable[str]) -> bool:
    """Whether a name is so similar to a known one that this must be meant, and not something else."""
    letters = {_letters(item) for item in known}
    return bool(get_close_matches(_letters(name), list(letters), n=1, cutoff=0.8))


def _letters(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


def hint(name: str, known: Iterable[str]) -> str:
    """The same where a sentence follows: ``.`` if no name is similar."""
    return nearest(name, known) or "."


def listed(names: Iterable[str], none: str = "none") -> str:
    """Names for an error: the first twelve of them."""
    every = list(names)
    rest = f" and {len(every) - _LISTED} more" if len(every) > _LISTED else ""
    return (", ".join(every[:_LISTED]) + rest) if every else none


def unknown(what: str, name: str, known: Iterable[str]) -> str:
    """The message for a name that nothing has."""
    names = list(dict.fromkeys(known))
    return f"no {what} is called '{cut(name)}'{hint(name, names)} Known: {listed(names)}"


def cut(text: str) -> str:
    """A text short enough for an error."""
    return text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"


def shown(value: Any) -> str:
    """A value for an error, with what it is where that is not plain to see."""
    match value:
        case None | bool():
            return "nothing" if value is None else f"{str(value).lower()} (a boolean)"
        case int() | float():
            return f"{cut(str(value))} (a number)"
        case str():
            return cut(json.dumps(value, ensure_ascii=False))
        case dict():
            keys = [str(key) for key in cast("dict[Any, Any]", value)]
            return f"a mapping ({cut(', '.join(keys))})" if keys else "an empty mapping"
        case list() | tuple():
            count = len(cast("list[Any]", value))
            return f"a list of {count}" if count else "an empty list"
        case _:
            return cut(repr(value))


M = TypeVar("M", bound=BaseModel)

_EXPECTED = {
    "string_type": "a text",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "int_parsing": "a whole number",
    "float_type": "a number",
    "float_parsing": "a number",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "tuple_type": "a list",
    "list_type": "a list",
    "dict_type": "a mapping ('name: value' lines)",
    "model_type": "a mapping ('name: value' lines)",
    "string_too_short": "a text that is not empty",
    "finite_number": "a finite number",
    "too_short": "at least one item",
}
_SUBJECTS = {"String": "a text", "List": "a list", "Tuple": "a list", "Dictionary": "a mapping"}
_SHOULD = re.compile(rf"^({'|'.join(_SUBJECTS)}) should ")
"""How the other messages of pydantic about these begin."""


Advice = Mapping[type, Mapping[str, str]]
"""Why a field that is not known here is not supported, by model and field."""


def checked(
    model: type[M],
    data: Any,
    problems: Problems,
    *,
    names: Mapping[str, str] | None = None,
    unsupported: Advice | None = None,
    lenient: Mapping[type, Container[str]] | None = None,
) -> M | None:
    """The model of placed data; None, with a problem for each mistake, if it is invalid.

    Args:
        model: what the data should be.
        data: placed data.
        problems: takes what is wrong.
        names: names of fields that are written differently in the file, by the model's name.
        unsupported: fields that get advice instead of "unknown field".
        lenient: models whose unknown fields are taken out of the data with a warning, unless they look misspelt; for
            each, names that are errors nevertheless.
    """
    try:
        return model.model_validate(data)
    except ValidationError as error:
        found = [cast("Mapping[str, Any]", item) for item in error.errors(include_url=False)]
    if not lenient and len(found) > _LOOKED_AT:
        place = data.home if isinstance(data, PlacedDict | PlacedList) else Position(NOWHERE)
        problems.error(place, f"there are {len(found):,} problems; here are the first {_LOOKED_AT:,}")
        found = found[:_LOOKED_AT]
    if sum(_dropped(model, data, item, problems, names or {}, lenient or {}) for item in found):
        return checked(model, data, problems, names=names, unsupported=unsupported, lenient=lenient)
    for item in found:
        _report(model, data, item, problems, names or {}, unsupported or {})
    return None


def _dropped(
    model: type[BaseModel],
    data: Any,
    item: Mapping[str, Any],
    problems: Problems,
    names: Mapping[str, str],
    lenient: Mapping[type, Container[str]],
) -> bool:
    """Whether this is an unknown field that nothing needs, which is now gone from the data."""
    loc = [part for part in item["loc"] if isinstance(part, (str, int))]
    owner = _model_at(model, loc[:-1]) if item["type"] == "extra_forbidden" else None
    if owner is None or owner not in lenient:
        return False
    name, known = str(loc[-1]), [names.get(name, name) for name in _fields_of(owner)]
    holder = _value_at(data, loc[:-1])
    if name in lenient[owner] or is_misspelt(name, known) or not isinstance(holder, PlacedDict) or name not in holder:
        return False
    told = f"is not known here and has no effect{nearest(name, known) or '.'} Fields here: {listed(known)}"
    problems.warning(holder.mark(name).key(), told)
    del holder[name]
    return True


def _report(
    model: type[BaseModel],
    data: Any,
    item: Mapping[str, Any],
    problems: Problems,
    names: Mapping[str, str],
    unsupported: Advice,
) -> None:
    loc = [part for part in item["loc"] if isinstance(part, (str, int))]
    mark, _ = locate(data, loc)
    mark = mark or Mark("?", "", 0, 0, 0, 0)
    kind = str(item["type"])
    if kind == "extra_forbidden":
        owner = _model_at(model, loc[:-1])
        name = str(loc[-1])
        why = unsupported.get(owner, {}).get(name) if owner else None
        if why:
            problems.error(mark.key(), f"'{name}' is not supported: {why}. Remove it")
            return
        known = [names.get(name, name) for name in _fields_of(owner)]
        problems.error(mark.key(), f"unknown field '{name}'{hint(name, known)} Fields here: {listed(known)}")
    elif kind == "missing":
        name = names.get(str(loc[-1]), str(loc[-1]))
        place = _home(data, loc[:-1]) or mark
        problems.error(_within(place, name), f"the field '{name}' is missing")
    elif not (kind == "too_short" and item["input"]) and not problems.has_error_at(mark.value()):
        problems.error(
            mark,
            _refused(item, mark) + _fields_advice(kind, [names.get(n, n) for n in _fields_of(_model_at(model, loc))]),
        )


def _home(data: Any, loc: Sequence[str | int]) -> Mark | None:
    return locate(data, loc)[0]


def _within(mark: Mark, name: str) -> Position:
    place = mark.value()
    return Position(place.file, place.line, place.column, join(place.field, name))


def _refused(item: Mapping[str, Any], mark: Mark) -> str:
    kind, value = str(item["type"]), item["input"]
    if kind == "bool_type" and isinstance(value, str) and value.lower() in OLD_BOOLEANS:
        meant = "true" if value.lower() in {"y", "yes", "on"} else "false"
        return f"found {value}, which is a text: only true and false are booleans in YAML 1.2. Write {meant}"
    if kind == "literal_error":
        allowed = [part.strip("'") for part in str(item["ctx"]["expected"]).replace(" or ", ", ").split(", ")]
        similar = nearest(value, allowed) if isinstance(value, str) else ""
        return f"found {shown(value)}; expected one of {listed(allowed)}{similar}"
    if kind == "value_error" and isinstance(value, dict):
        return f"expected {expected_by(item)}"
    return f"found {shown(value)}; expected {expected_by(item)}{_advice(kind, value, mark)}"


def _advice(kind: str, value: Any, mark: Mark) -> str:
    if value is None:
        return ". Give it a value, or remove the line"
    if kind == "string_type" and isinstance(value, (bool, int, float)):
        return f'. Put it in quotes: "{mark.raw or str(value).lower()}"'
    if kind in {"tuple_type", "list_type"} and isinstance(value, (str, dict)):
        return ". Begin each item with '- '"
    return ""


def _fields_advice(kind: str, fields: Sequence[str]) -> str:
    return f". Fields here: {listed(fields)}" if kind == "model_type" and fields else ""


def expected_by(item: Mapping[str, Any]) -> str:
    """What one of pydantic's errors says is expected, to be read after "expected"."""
    if (known := _EXPECTED.get(str(item["type"]))) is not None:
        return known
    text = str(item["msg"]).removeprefix("Value error, ").removeprefix("Input should be ").removeprefix("a valid ")
    text = _SHOULD.sub(lambda match: f"{_SUBJECTS[match[1]]} to ", text)
    return text[:1].lower() + text[1:]


def _model_at(model: type[BaseModel], loc: Sequence[str | int]) -> type[BaseModel] | None:
    """The model that a path leads to; None if it leads to something else."""
    annotation: Any = model
    for part in loc:
        annotation = _step(_model_or_origin(annotation), part)
    found = _model_or_origin(annotation)
    return found if isinstance(found, type) and issubclass(found, BaseModel) else None


def _fields_of(model: type[BaseModel] | None) -> list[str]:
    return [info.alias or name for name, info in model.model_fields.items()] if model else []


def _model_or_origin(annotation: Any) -> Any:
    """The annotation without Annotated and None."""
    while True:
        origin = get_origin(annotation)
        if origin is Annotated:
            annotation = get_args(annotation)[0]
        elif origin in {Union, UnionType}:
            annotation = next((arg for arg in get_args(annotation) if arg is not type(None)), None)
        else:
            return annotation


def _step(annotation: Any, part: str | int) -> Any:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        info = annotation.model_fields.get(str(part))
        return info.annotation if info else None
    arguments = get_args(annotation)
    if not arguments:
        return None
    return arguments[1] if get_origin(annotation) is dict else arguments[0]
