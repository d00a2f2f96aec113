"""How templates in Go's language are read: the text becomes nodes, or an error that names the action.

See :mod:`duologue.config.go_templates` for the language.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from duologue.config.go_functions import FUNCTIONS
from duologue.errors import ConfigurationError
from duologue.frozen import frozen
from duologue.messages import JsonValue

_LONGEST_NUMBER = 300
"""Characters of a number."""
MAX_DEPTH = 50
"""Blocks and brackets within each other."""

_ACTION = re.compile(
    r"(?P<left>\{\{-(?=\s)|\{\{)"
    r"(?P<body>(?:\s*/\*.*?\*/\s*)|(?:\"(?:[^\"\\\n]|\\.)*\"|`[^`]*`|'(?:[^'\\\n]|\\.)+'|(?!\}\})[^\"`'])*?)"
    r"(?P<right>(?<=\s)-\}\}\s*|\}\})",
    re.DOTALL,
)
_TOKEN = re.compile(
    r"""\s*(?:
    (?P<string>"(?:[^"\\\n]|\\.)*"|`[^`]*`)
  | (?P<char>'(?:[^'\\\n]|\\.)+')
  | (?P<number>[+-]?(?:0[xX][0-9a-fA-F]+|(?:\d[\d_]*\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)(?![\w.]))
  | (?P<path>\$?\w*(?:\.[\w-]+)+|\$\w*)
  | (?P<word>[A-Za-z_][\w-]*)
  | (?P<mark>:=|[|(),=.])
    )""",
    re.VERBOSE,
)
_ESCAPE = re.compile(r"\\(x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|[0-7]{3}|.)", re.DOTALL)
_SHORT = {"n": "\n", "t": "\t", "r": "\r", "a": "\a", "b": "\b", "f": "\f", "v": "\v"}
_OPENING = ("if", "range", "with")
_REFUSED = ("define", "template", "block")
_CONSTANTS: dict[str, JsonValue] = {"true": True, "false": False, "nil": None}


@frozen
class Constant:
    """A value that is written in the template."""

    value: Any


@frozen
class Path:
    """A value that is there: the dot, a variable, or an expression in brackets, and the names after it."""

    start: Any
    """None for the dot, the name of a variable, or a pipeline."""
    names: tuple[str, ...]


@frozen
class Call:
    """A function, and what it is given."""

    function: str
    arguments: tuple[Any, ...]


@frozen
class Pipeline:
    """Commands, each of which is given the result of the one before as its last argument."""

    commands: tuple[Any, ...]
    variables: tuple[str, ...] = ()
    declares: bool = True


@frozen
class Branch:
    """``if``, ``with`` or ``range``, and what it decides on."""

    word: str
    value: Pipeline
    body: tuple[Any, ...]


@frozen
class Block:
    """Branches of which at most one is taken, and what is taken otherwise."""

    branches: tuple[Branch, ...]
    otherwise: tuple[Any, ...]


@frozen
class Leave:
    """``break`` or ``continue``."""

    word: str


def parsed(text: str, where: str) -> tuple[Any, ...]:
    """The nodes of a template: texts, pipelines, blocks and ways out of loops.

    Args:
        text: the template.
        where: what errors call it.

    Raises:
        ConfigurationError: it cannot be parsed.
    """
    return _Parser(text, where).parsed()


class _Parser:
    def __init__(self, text: str, where: str) -> None:
        self._where = where
        self._pieces = self._split(text)
        self._place = 0
        self._depth = 0
        self._variables: list[str] = ["$"]

    def parsed(self) -> tuple[Any, ...]:
        nodes, end = self._list(loops=0)
        if end:
            raise self._wrong(end, "nothing is open that it could belong to")
        return nodes

    def _split(self, text: str) -> list[tuple[bool, str]]:
        """Texts and actions (True), in order."""
        pieces: list[tuple[bool, str]] = []
        place = 0
        while True:
            start = text.find("{{", place)
            if start < 0:
                pieces.append((False, text[place:]))
                return pieces
            found = _ACTION.match(text, start)
            if found is None:
                raise self._wrong(text[start : start + 40], "the action has no end")
            before, body = text[place:start], found["body"].strip()
            pieces.append((False, before.rstrip() if found["left"].endswith("-") else before))
            if not body.startswith("/*"):
                pieces.append((True, body))
            place = found.end()

    def _list(self, *, loops: int) -> tuple[tuple[Any, ...], str]:
        """Nodes up to an ``end`` or ``else`` that belongs to somebody else, and that action."""
        nodes: list[Any] = []
        while self._place < len(self._pieces):
            is_action, text = self._pieces[self._place]
            self._place += 1
            if not is_action:
                nodes += [text] if text else []
                continue
            word = (re.match(r"[a-z]+\b", text) or [""])[0]
            if word in {"end", "else"}:
                return tuple(nodes), text
            if word in _OPENING:
                nodes.append(self._block(word, text[len(word) :], loops=loops + (word == "range")))
            elif word in {"break", "continue"}:
                if not loops:
                    raise self._wrong(text, "it stands outside a range")
                nodes.append(Leave(word=word))
            elif word in _REFUSED:
                raise self._wrong(text, "templates within templates are not supported; write the text in its place")
            else:
                nodes.append(self._pipeline(text))
        return tuple(nodes), ""

    def _block(self, word: str, text: str, *, loops: int) -> Block:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise self._wrong(text, f"more than {MAX_DEPTH} blocks stand within each other")
        scope, outside, opening = len(self._variables), loops - (word == "range"), f"{word}{text}"
        branches: list[Branch] = []
        while True:
            value = self._pipeline(text, in_range=word == "range")
            known = len(self._variables)
            body, end = self._list(loops=loops)
            del self._variables[known:]
            branches.append(Branch(word=word, value=value, body=body))
            chained = re.fullmatch(r"else\s+(if|with)\b(.*)", end, re.DOTALL)
            if chained is None or word == "range":
                break
            word, text = chained[1], chained[2]
        otherwise: tuple[Any, ...] = ()
        if end == "else":
            otherwise, end = self._list(loops=outside)
        if end != "end":
            raise self._wrong(opening, f"'{{{{{end}}}}}' is out of place" if end else "it has no {{end}}")
        del self._variables[scope:]
        self._depth -= 1
        return Block(branches=tuple(branches), otherwise=otherwise)

    def _pipeline(self, text: str, *, in_range: bool = False) -> Pipeline:
        return _Expression(text, self._variables, lambda told: self._wrong(text, told)).whole(in_range=in_range)

    def _wrong(self, action: str, told: str) -> ConfigurationError:
        return ConfigurationError(f"{self._where}: '{{{{{action.strip()}}}}}' cannot be filled in: {told}")


class _Expression:
    """The content of one action."""

    def __init__(self, text: str, variables: list[str], wrong: Callable[[str], ConfigurationError]) -> None:
        self._variables = variables
        self._wrong = wrong
        self._tokens = self._read(text)
        self._place = 0
        self._depth = 0

    def whole(self, *, in_range: bool) -> Pipeline:
        """The pipeline, with what it sets."""
        names, declares = self._assigned(in_range)
        found = self._pipeline()
        if self._place < len(self._tokens):
            raise self._wrong(f"'{self._tokens[self._place][1]}' is not expected there")
        if declares:
            self._variables += names
        return Pipeline(commands=found.commands, variables=tuple(names), declares=declares)

    def _read(self, text: str) -> list[tuple[str, str]]:
        tokens: list[tuple[str, str]] = []
        place, end = 0, len(text.rstrip())
        while place < end:
            found = _TOKEN.match(text, place)
            if found is None:
                raise self._wrong(f"'{text[place : place + 20].strip()}' is not understood")
            kind = found.lastgroup or ""
            tokens.append((kind, found[kind]))
            place = found.end()
        return tokens

    def _assigned(self, in_range: bool) -> tuple[list[str], bool]:
        """The variables that are set, and whether they are new."""
        words = [word for _, word in self._tokens]
        sign = next((place for place, word in enumerate(words[:4]) if word in {":=", "="}), None)
        if sign is None:
            return [], False
        names = [word for word in words[:sign] if word != ","]
        wanted = 2 if in_range else 1
        if not names or len(names) > wanted or not all(re.fullmatch(r"\$\w+", name) for name in names):
            raise self._wrong("expected a variable such as $name before the sign")
        if words[sign] == "=" and (unknown := [name for name in names if name not in self._variables]):
            raise self._wrong(f"the variable {unknown[0]} is not declared; write :=")
        self._place = sign + 1
        return names, words[sign] == ":="

    def _pipeline(self) -> Pipeline:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise self._wrong(f"more than {MAX_DEPTH} brackets stand within each other")
        commands = [self._command(first=True)]
        while self._next() == "|":
            self._place += 1
            commands.append(self._command(first=False))
        self._depth -= 1
        return Pipeline(commands=tuple(commands))

    def _command(self, *, first: bool) -> Any:
        operands: list[Any] = []
        while self._next() not in {"", "|", ")"}:
            operands.append(self._operand(leading=not operands))
        if not operands:
            raise self._wrong("a value is missing")
        head, rest = operands[0], operands[1:]
        if isinstance(head, Call):
            return Call(function=head.function, arguments=tuple(rest))
        if rest or not first:
            raise self._wrong("only a function takes values")
        return head

    def _operand(self, *, leading: bool) -> Any:  # noqa: PLR0911 - one return for each kind of token
        kind, word = self._tokens[self._place]
        self._place += 1
        match kind:
            case "string":
                return Constant(value=_text(word))
            case "char":
                return Constant(value=ord(_text(word)[:1] or "\0"))
            case "number" if len(word) > _LONGEST_NUMBER:
                raise self._wrong(f"a number has {len(word):,} characters")
            case "number":
                return Constant(value=_number(word))
            case "path":
                return self._path(word)
            case "word" if word in _CONSTANTS:
                return Constant(value=_CONSTANTS[word])
            case "word" if word in FUNCTIONS:
                return Call(function=word, arguments=())
            case "word" if leading and len(self._tokens) == 1:
                return Path(start=None, names=(word,))  # PromptKit's other way to write a field
            case "word":
                raise self._wrong(f"there is no function '{word}'. Functions: {', '.join(FUNCTIONS)}")
            case _:
                return self._bracketed(word)

    def _bracketed(self, word: str) -> Any:
        if word == ".":
            return Path(start=None, names=())
        if word != "(":
            raise self._wrong(f"'{word}' is not expected there")
        inner = self._pipeline()
        if self._next() != ")":
            raise self._wrong("a bracket is not closed")
        self._place += 1
        names: tuple[str, ...] = ()
        if self._place < len(self._tokens) and self._tokens[self._place][0] == "path":
            word = self._tokens[self._place][1]
            if word.startswith("."):
                self._place += 1
                names = tuple(word[1:].split("."))
        return Path(start=inner, names=names)

    def _path(self, word: str) -> Path:
        head, *names = word.split(".")
        if head and not head.startswith("$"):
            if len(self._tokens) > 1:
                raise self._wrong(f"there is no function '{head}'. Functions: {', '.join(FUNCTIONS)}")
            return Path(start=None, names=(head, *names))
        if head and head not in self._variables:
            raise self._wrong(f"the variable {head} is not declared")
        return Path(start=head or None, names=tuple(names))

    def _next(self) -> str:
        return self._tokens[self._place][1] if self._place < len(self._tokens) else ""


def _text(word: str) -> str:
    """The text that a quoted literal means."""
    if word.startswith("`"):
        return word[1:-1]
    return _ESCAPE.sub(_unescaped, word[1:-1])


def _unescaped(found: re.Match[str]) -> str:
    code = found[1]
    if code[0] in "xuU" and len(code) > 1:
        number = int(code[1:], 16)
        return chr(number) if number <= 0x10FFFF and not 0xD800 <= number < 0xE000 else "\ufffd"
    return chr(int(code, 8)) if code.isdigit() else _SHORT.get(code, code)


def _number(word: str) -> int | float:
    plain = word.replace("_", "")
    if "x" in plain.lower():
        return int(plain, 16)
    return float(plain) if re.search(r"[.eE]", plain) else int(plain)
