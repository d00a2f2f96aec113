"""Templates in the language of Go's ``text/template``, as far as answers of mocked tools need it.

There are fields (``{{.city}}``, ``{{.user.name}}``), variables (``$x := …``), pipes, ``if``, ``else if``, ``range``
(with ``break`` and ``continue``), ``with``, comments, ``{{- … -}}`` that trims white space, and the functions of
:data:`FUNCTIONS`. ``define``, ``template`` and ``block`` are refused. Values are JSON: numbers compare as numbers, and
what does not exist is empty text and false.

A template is parsed once. Filling it in ends whatever the values are: there are limits on steps, on what is written,
and on every text in between.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

from duologue.config.go_functions import FUNCTIONS, Missing, TemplateValueError, is_true
from duologue.config.go_syntax import Block, Branch, Call, Constant, Leave, Path, Pipeline, parsed
from duologue.config.templates import as_text
from duologue.messages import JsonValue

MAX_STEPS = 200_000
"""Parts of a template that are looked at while it is filled in once."""
MAX_OUTPUT = 5_000_000
"""Characters of a filled template, and of all texts that are made on the way."""

_MISSING = Missing()


class GoTemplate:
    """A template, ready to be filled in.

    Args:
        text: the template.
        where: what errors call it.

    Raises:
        ConfigurationError: it cannot be parsed.
    """

    def __init__(self, text: str, *, where: str) -> None:
        self._nodes = parsed(text, where)

    def render(self, values: Mapping[str, JsonValue], encode: Callable[[JsonValue], str] = as_text) -> str:
        """The template, filled in.

        Args:
            values: what ``.`` is at the beginning.
            encode: turns each value that is written into text.

        Raises:
            TemplateValueError: a function cannot do what is asked for with these values, or a limit is reached.
        """
        run = _Run(dict(values), encode)
        run.write(self._nodes)
        return "".join(run.written)


class _Left(Exception):
    """A loop is left, or its next round begins."""

    def __init__(self, word: str) -> None:
        super().__init__(word)
        self.word = word


class _Run:
    """One filling."""

    def __init__(self, values: dict[str, JsonValue], encode: Callable[[JsonValue], str]) -> None:
        self.written: list[str] = []
        self._encode = encode
        self._dot: Any = values
        self._variables: list[tuple[str, Any]] = [("$", values)]
        self._steps = 0
        self._made = 0

    def write(self, nodes: Sequence[Any]) -> None:
        for node in nodes:
            self._step()
            match node:
                case str():
                    self._put(node)
                case Pipeline():
                    value = self._value(node)
                    if not node.variables:
                        self._put("" if isinstance(value, Missing) else self._encode(value))
                case Leave():
                    raise _Left(node.word)
                case _:
                    self._block(node)

    def _block(self, block: Block) -> None:
        dot, scope = self._dot, len(self._variables)
        try:
            if not any(self._taken(branch) for branch in block.branches):
                self.write(block.otherwise)
        finally:
            self._dot = dot
            del self._variables[scope:]

    def _taken(self, branch: Branch) -> bool:
        """Write a branch, if its value says so."""
        if branch.word == "range":
            return self._ranged(branch)
        value = self._value(branch.value)
        if not is_true(value):
            return False
        if branch.word == "with":
            self._dot = value
        self.write(branch.body)
        return True

    def _ranged(self, branch: Branch) -> bool:
        names, declares = branch.value.variables, branch.value.declares
        items = _items(self._result(branch.value))
        scope = len(self._variables)
        for item in items:
            self._step()
            for name, bound in zip(names, item[-len(names) :], strict=True) if names else ():
                self._set(name, bound, declares=declares)
            self._dot = item[-1]
            try:
                self.write(branch.body)
            except _Left as left:
                if left.word == "break":
                    return True
            finally:
                del self._variables[scope:]
        return bool(items)

    def _value(self, pipeline: Pipeline) -> Any:
        """The value of a pipeline, which its variable gets too."""
        value = self._result(pipeline)
        for name in pipeline.variables:
            self._set(name, value, declares=pipeline.declares)
        return value

    def _result(self, pipeline: Pipeline) -> Any:
        value: Any = _MISSING
        for number, command in enumerate(pipeline.commands):
            self._step()
            if isinstance(command, Call):
                value = self._called(command, [value] if number else [])
            else:
                value = self._operand(command)
        return value

    def _called(self, call: Call, piped: list[Any]) -> Any:
        if call.function in {"and", "or"}:
            return self._chosen(call, piped)
        arguments = [*(self._operand(item) for item in call.arguments), *piped]
        value = FUNCTIONS[call.function](*arguments)
        if isinstance(value, str):
            self._count(len(value))
        return value

    def _chosen(self, call: Call, piped: list[Any]) -> Any:
        """``and`` and ``or`` look no further than they must."""
        value: Any = _MISSING
        if not call.arguments and not piped:
            raise TemplateValueError(f"{call.function}: a value is missing")
        for argument in (*call.arguments, *map(_constant, piped)):
            value = self._operand(argument)
            if is_true(value) == (call.function == "or"):
                return value
        return value

    def _operand(self, node: Any) -> Any:
        self._step()
        match node:
            case Constant():
                return node.value
            case Call():
                return self._called(node, [])
            case Path():
                if node.start is None:
                    value = self._dot
                elif isinstance(node.start, str):
                    value = next(found for name, found in reversed(self._variables) if name == node.start)
                else:
                    value = self._result(node.start)
                for name in node.names:
                    value = _within(value, name)
                return value
            case _:
                return self._result(node)

    def _set(self, name: str, value: Any, *, declares: bool) -> None:
        if declares:
            self._variables.append((name, value))
            return
        place = max(place for place, (known, _) in enumerate(self._variables) if known == name)
        self._variables[place] = (name, value)

    def _put(self, text: str) -> None:
        self._count(len(text))
        self.written.append(text)

    def _step(self) -> None:
        self._steps += 1
        if self._steps > MAX_STEPS:
            raise TemplateValueError(f"it takes more than {MAX_STEPS:,} steps")

    def _count(self, characters: int) -> None:
        self._made += characters
        if self._made > MAX_OUTPUT:
            raise TemplateValueError(f"it makes more than {MAX_OUTPUT:,} characters")


def _constant(value: Any) -> Constant:
    return Constant(value=value)


def _within(value: Any, name: str) -> Any:
    if isinstance(value, dict):
        return cast("dict[str, Any]", value).get(name, _MISSING)
    if isinstance(value, list) and name.isdecimal():
        items = cast("list[Any]", value)
        return items[int(name)] if len(name) < 10 and int(name) < len(items) else _MISSING
    return _MISSING


def _items(value: Any) -> list[tuple[Any, Any]]:
    """What a range goes through: an element with its number, a value with its key, a number up to a limit."""
    if isinstance(value, dict):
        return sorted(cast("dict[str, Any]", value).items())
    if isinstance(value, list):
        return list(enumerate(cast("list[Any]", value)))
    if isinstance(value, int) and not isinstance(value, bool):
        return [(number, number) for number in range(min(value, MAX_STEPS))]
    if value is None or isinstance(value, Missing):
        return []
    raise TemplateValueError(f"range cannot go through {as_text(value)[:40]}")
