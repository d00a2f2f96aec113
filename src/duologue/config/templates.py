"""Placeholders in text: ``{{name}}`` for a value, ``{name}`` for what a test case varies, ``${NAME}`` for a variable.

There are two kinds of template. :func:`render` fills in what it knows and leaves every other placeholder as it is;
use it for prompts and lines of a script, whose authors may mean a brace as a brace. :class:`Template` is parsed once
and rejects what it does not understand; use it where a value goes into a URL, a header or JSON.

References to environment variables (``${NAME}``, ``${NAME:-default}``) stay unexpanded while a configuration is in
memory, so that no secret reaches a plan, a journal or a converted file. :func:`expand` them where the value is used.
Text that participants say is never expanded.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import cast

from duologue.config.access import missing_variable, variables
from duologue.config.patterns import late
from duologue.config.redaction import names_secret, remember_url
from duologue.errors import ConfigurationError
from duologue.messages import JsonValue
from duologue.secret_values import remember

MAX_PASSES = 10
"""How often a text is filled in when values may contain placeholders."""
MAX_LENGTH = 1_000_000
"""Characters to which a text may grow through values that contain placeholders."""
MAX_RENDERED = 20_000_000
"""Characters of a text whose placeholders are filled in."""

_NAME = r"[A-Za-z_][\w.-]*"
_PLACEHOLDER = late(rf"\{{\{{\s*({_NAME})\s*\}}\}}")
_WITH_VARIANTS = late(rf"\{{\{{\s*({_NAME})\s*\}}\}}|(?<!\{{)\{{([^{{}}]+)\}}(?!\}})")
_FIELD = late(r"\{\{-?\s*(.*?)\s*-?\}\}", re.DOTALL)
_PATH = late(r"\.?[\w-]+(\.[\w-]+)*")
_MISSING = object()


def render(
    text: str, values: Mapping[str, str], *, variants: Mapping[str, str] | None = None, nested: bool = False
) -> str:
    """Fill in the placeholders that have a value; the others stay as they are.

    Args:
        text: the template.
        values: for ``{{name}}``.
        variants: for ``{name}``; None leaves single braces alone. Not used with ``nested``.
        nested: also fill in placeholders within values, up to ten levels deep. By default values are taken literally,
            so that text from a conversation is never read as a template.

    Raises:
        ConfigurationError: the text would have more than :data:`MAX_RENDERED` characters.
    """
    if nested:
        return _nested(text, values)
    if "{" not in text:
        return text
    if variants is None:
        return _filled(_PLACEHOLDER, text, lambda found: values.get(found[1], found[0]))

    def value(found: re.Match[str]) -> str:
        name, variant = found[1], found[2]
        return values.get(name, found[0]) if name else variants.get(variant, found[0])

    return _filled(_WITH_VARIANTS, text, value)


def _filled(pattern: re.Pattern[str], text: str, value: Callable[[re.Match[str]], str]) -> str:
    """The text with a value in each place of the pattern.

    Raises:
        ConfigurationError: it would be longer than :data:`MAX_RENDERED`.
    """
    length = len(text)

    def counted(found: re.Match[str]) -> str:
        nonlocal length
        new = value(found)
        length += len(new) - len(found[0])
        if length > MAX_RENDERED:
            raise ConfigurationError(
                f"a text has more than {MAX_RENDERED:,} characters when its placeholders are filled in, at "
                f"'{found[0][:80]}'; it begins '{text[:80]}'. Shorten the values, or use them less often"
            )
        return new

    return pattern.sub(counted, text)


def placeholders(text: str) -> list[str]:
    """The names of the placeholders ``{{name}}`` in a text, each once, in order."""
    return list(dict.fromkeys(_PLACEHOLDER.findall(text))) if "{{" in text else []


def _nested(text: str, values: Mapping[str, str]) -> str:
    for _ in range(MAX_PASSES):
        if "{{" not in text:
            return text
        try:
            after = _filled(_PLACEHOLDER, text, lambda found: values.get(found[1], found[0]))
        except ConfigurationError:
            if any(_leads_back(name, values) for name in placeholders(text)):
                return text  # its placeholders stay open, and the caller can say which value is the cause
            raise
        if after == text or len(after) > MAX_LENGTH:
            return after
        text = after
    return text


def _leads_back(name: str, values: Mapping[str, str]) -> bool:
    """Whether the value of a name contains the name, itself or through other values."""
    reached: set[str] = set()
    ahead = [name]
    while ahead:
        inner = [found for found in placeholders(values.get(ahead.pop(), "")) if found not in reached]
        reached.update(inner)
        ahead.extend(inner)
    return name in reached


class Template:
    """A text with fields such as ``{{.city}}``, ``{{city}}``, ``{{.user.name}}`` or ``{{.items.0}}``.

    A field is a path into the values. A path that leads nowhere renders as empty text.

    Attributes:
        names: the top-level values that the template uses.
    """

    def __init__(self, text: str, *, where: str) -> None:
        """Parse the text.

        Args:
            text: the template.
            where: what errors call it.

        Raises:
            ConfigurationError: a field is more than a path.
        """
        pieces = _FIELD.split(text)
        self._texts = pieces[::2]
        self._paths = [_path(field, where) for field in pieces[1::2]]
        self.names = frozenset(path[0] for path in self._paths)

    def render(self, values: Mapping[str, JsonValue], encode: Callable[[JsonValue], str] | None = None) -> str:
        """The text with its fields filled in.

        Args:
            values: by name.
            encode: turns a value into text; :func:`as_text` by default.
        """
        if not self._paths:
            return self._texts[0]
        encoded = [_encoded(path, values, encode or as_text) for path in self._paths]
        if sum(map(len, encoded)) > MAX_RENDERED:
            raise ConfigurationError(
                f"a template has more than {MAX_RENDERED:,} characters when its fields are filled in; it begins "
                f"'{self._texts[0][:80]}'. Shorten the values, or use them less often"
            )
        return "".join(piece for pair in zip(self._texts, [*encoded, ""], strict=True) for piece in pair)


def as_text(value: JsonValue) -> str:
    """A string as it is, any other value as JSON."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def within_json_string(value: JsonValue) -> str:
    """The same, escaped to stand between the quotes of a JSON string."""
    return json.dumps(value, ensure_ascii=False)[1:-1] if isinstance(value, str) else as_text(value)


def _path(field: str, where: str) -> tuple[str, ...]:
    if not _PATH.fullmatch(field):
        raise ConfigurationError(
            f"{where}: '{{{{{field}}}}}' cannot be filled in; a field is the name of an argument or a path to a part "
            "of it, such as {{.city}} or {{.user.name}}"
        )
    return tuple(field.lstrip(".").split("."))


def _encoded(path: tuple[str, ...], values: Mapping[str, JsonValue], encode: Callable[[JsonValue], str]) -> str:
    value: object = values
    for step in path:
        value = _step(value, step)
    return "" if value is _MISSING else encode(cast("JsonValue", value))


def _step(value: object, step: str) -> object:
    if isinstance(value, Mapping):
        return cast("Mapping[str, object]", value).get(step, _MISSING)
    if isinstance(value, list) and step.isdecimal():
        items = cast("list[object]", value)
        return items[int(step)] if int(step) < len(items) else _MISSING
    return _MISSING


_REFERENCE = late(r"\$\{([A-Za-z_]\w*)(?::-([^}]*))?\}")

_HOST = late(r"[A-Za-z][\w+.-]*://(?:\$\{[^}]*\}|[^/?#])*|(?:\$\{[^}]*\})")
"""The beginning of a URL, references included."""


def expand(text: str, environment: Mapping[str, str] | None = None, *, secret: bool = False) -> str:
    """Replace the references in a text. As in a shell, a variable that is set but empty takes its default.

    Args:
        text: such as ``https://${HOST:-localhost}/v1``.
        environment: variables by name; None for those that may be used, which are usually those of the process.
        secret: the values are secret where the text is used, whatever the variables are called. From now on they are
            in no error.

    Raises:
        ConfigurationError: a variable is not set and has no default.
    """
    if "${" not in text:
        return text
    known = variables() if environment is None else environment

    def value(found: re.Match[str]) -> str:
        name, default = found[1], found[2]
        if filled := known.get(name):
            if secret or names_secret(name):
                remember(filled, placed=secret)
            return filled
        if default is None:
            told = missing_variable(name) if environment is None else f"the environment variable {name} is not set"
            raise ConfigurationError(f"{told}; set it, or write ${{{name}:-default}}")
        return default

    return _REFERENCE.sub(value, text)


def expand_url(url: str, environment: Mapping[str, str] | None = None) -> str:
    """Replace the references in a URL. What they stand for behind the host is secret. Raises as :func:`expand`."""
    host = _HOST.match(url)
    end = host.end() if host else 0
    expanded = expand(url[:end], environment) + expand(url[end:], environment, secret=True)
    remember_url(expanded)
    return expanded


def missing_variables(text: str, environment: Mapping[str, str] | None = None) -> list[str]:
    """The variables that a text refers to without a default and that are not set."""
    if "${" not in text:
        return []
    known = variables() if environment is None else environment
    return [found[1] for found in _REFERENCE.finditer(text) if found[2] is None and not known.get(found[1])]
