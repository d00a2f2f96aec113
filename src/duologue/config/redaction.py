"""Keep secrets out of whatever is shown or stored: errors, tapes, logs, printed suites.

A secret is recognised in one of three ways:

* by its value, where the program knows it: :func:`without_values`, and :func:`redacted` for all that the process knows;
* by the name of its field: :func:`without_secrets`; in texts that hold JSON, URLs or headers, or say what a
  password is, :func:`text_without_secrets`, which also knows the forms of the keys of common services. What an agent
  answered is only searched by name: a word that it gives away has to reach the checks that look for it;
* by its path, where a suite says so: :func:`without_fields`.

Redact before you shorten: half a secret is a secret too.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from functools import lru_cache, partial
from typing import Any, AnyStr, cast
from urllib.parse import parse_qsl, unquote, urlsplit

from duologue.config.patterns import late
from duologue.messages import JsonValue
from duologue.secret_values import HIDDEN, hidden, hidden_in, remember

_ANYWHERE = (
    "api_key",
    "apikey",
    "access_key",
    "access_token",
    "auth_token",
    "authorization",
    "cookie",
    "credential",
    "passwd",
    "password",
    "refresh_token",
    "secret",
)
_WHOLE = frozenset({"pwd", "private_key", "signature", "bearer", "jwt"})
_IF_IT_LOOKS_SO = frozenset({"auth", "keys"})
"""Names of secrets and of much else: the value decides."""
_INSIDE = frozenset({"key", "pass", "pin", "pw", "value"})
"""Names of secrets inside an object that is called a secret itself."""
_IN_A_QUERY = frozenset({"key", "sig", "code"})
_HARMLESS_TOKENS = ("page_token", "next_token")
_SHORTEST_TOKEN = 12
"""Characters. What is called a token and is shorter, or has spaces, is a word of a text."""
_INDEX = late(r"-?[0-9]{1,12}")
_CAMEL = late(r"(?<=[a-z0-9])(?=[A-Z])")
_SUSPECT = late(
    r"key|token|secret|pass|pwd|pin\b|auth|cookie|credential|bearer|basic|jwt|signature|sig=|://|[sprk]k[-_]|a[ks]ia|gh\w_|"
    r"github_|glpat-|xox\w-|aiza|hf_|eyj|kennwort|contrase|senha|parol|пароль|wachtwoord|密码|密碼|パスワード|비밀번호",
    re.IGNORECASE,
)
_JSON_PAIR = partial(
    re.compile, r"""(?P<q>(?<!\\)\\*")(?P<name>[\w-]{1,64})(?P=q)(?P<colon>\s*:\s*)(?P=q)(?P<value>[^"\\]+)(?P=q)"""
)
_QUERY_PAIR = partial(re.compile, r"""(?P<head>[?&](?P<name>[\w.-]{1,64})=)(?P<value>[^&\s#"'<>\\]+)""")
_JSON_LIST = partial(
    re.compile, r"""(?P<head>(?P<q>(?<!\\)\\*")(?P<name>[\w-]{1,64})(?P=q)\s*:\s*\[)(?P<items>[^\[\]{}]*)(?=\])"""
)
_JSON_TEXT = partial(re.compile, r"""(?P<q>(?<!\\)\\*")(?P<value>[^"\\]+)(?P=q)""")
_KEY = partial(
    re.compile,
    r"""(?<![A-Za-z0-9])(?:
        [sprk]k-(?=[\w-]{0,80}\d)[\w-]{8,} | [sprk]k_(?:live|test)_\w{8,}
        | A[KS]IA[0-9A-Z]{16} | gh[a-z]_[A-Za-z0-9]{16,}
        | github_pat_\w{16,} | glpat-[\w-]{16,} | xox[a-z]-[\w-]{8,} | AIza[\w-]{30,} | hf_[A-Za-z0-9]{16,}
        | (?<![\w-])eyJ[\w-]{8,}\.eyJ[\w-]{8,}\.[\w-]*
    )""",
    re.VERBOSE,
)
"""Keys of OpenAI and those like it, Stripe, AWS, GitHub, GitLab, Slack, Google, Hugging Face; JSON web tokens."""
_PRIVATE_KEY = partial(re.compile, r"(-----BEGIN [A-Z ]*PRIVATE KEY-----).*?(-----END |\Z)", re.DOTALL)
_COOKIE = partial(re.compile, r"""(?P<head>\b(?:Set-)?Cookie\s*:\s*)[^\s=;"'\\]+=[^\r\n"\\]*""", re.IGNORECASE)
_VALUE = r"""(?P<quote>["'`]?)(?P<value>[^\s"'`,;<>\\]{3,}[^\s"'`,;<>\\.!?)\]}])"""
_LINK = (
    r"(?:\s+(?:for|of|to|für|zu|de|del|da|per|pour)\s+[^\s:=]+(?:\s+[^\s:=]+)?)?"
    r"(?:\s*(?:[:=]|：)\s*|\s+(?:is|was|ist|war|es|est|é|è|lautet|это)\s*:?\s+|\s*(?:是|为|は)\s*)"
)
_PASSWORD = partial(
    re.compile,
    rf"""(?P<head>(?<![A-Za-z])(?:pass(?:word|wd|phrase|code|wort)|pwd|pin|kennwort|contraseña|senha|mot\ de\ passe|
    parola|пароль|wachtwoord|密码|密碼|パスワード|비밀번호){_LINK.replace(" ", "[ ]")}){_VALUE}""",
    re.IGNORECASE | re.VERBOSE,
)
_NAMED_KEY = partial(
    re.compile,
    rf"(?P<head>(?<![A-Za-z])(?:(?:api|access|secret|private|auth)[ _-]?key|token|secret|authorization|credentials?)"
    rf"{_LINK}(?:(?:token|key|basic|bearer|digest)\s+)?){_VALUE}",
    re.IGNORECASE,
)
_NO_PASSWORD = frozenset(
    """about accepted already also always been being blank case changed checked correct default different empty
    encrypted expired false good hashed hidden incorrect invalid just known less long longer lost masked missing more
    must needed never none null only optional over part please protected provided required reset safe same secret secure
    sent short still stored strong that there this true undefined unknown unset updated used valid very weak what when
    where which with wrong your""".split()
)
"""What a sentence says about a password without giving it away."""
_HEADER = partial(re.compile, r"\b(?P<scheme>Bearer|Basic)\s+[A-Za-z0-9._~+/=-]{12,}", re.IGNORECASE)
_REFERENCE = partial(re.compile, r"\$\{\w+(?::-(?P<default>[^}]*))?\}")
_SCHEME = partial(re.compile, r"\b(?:Bearer|Basic|Token|ApiKey)\b|[:\s]", re.IGNORECASE)
_TELLING = late(r"auth|key|token|secret|passw|cookie|cred|pwd", re.IGNORECASE)
MAX_ERROR = 32_000
"""Characters of an error that are kept: its beginning and its end."""
_MARGIN = 8_000
"""Characters beyond these that are searched as well. No secret is longer."""
_SHORTEST_VALUE = 4
"""Characters. Values shorter than this are not looked for: taking every '1' out of a text helps nobody."""
_STEP = late(r"\[['\"]?([^\]'\"]+)['\"]?\]|([^.\[\]]+)")
_USER_INFO = partial(re.compile, r"(?<=://)[^/\s:@\"']+:[^/\s@\"']+(?=@)")


def without_secrets(value: object, *, in_texts: bool = False, keep_references: bool = False) -> Any:
    """A copy of plain data in which secrets are replaced.

    Args:
        value: plain JSON data.
        in_texts: look into the texts too: JSON in them, queries of URLs, ``Bearer …``.
        keep_references: leave a text alone that names an environment variable (``${NAME}``) in place of a secret.
    """

    def cleaned(item: object, name: str = "") -> Any:
        if isinstance(item, dict):
            items = cast("dict[str, object]", item).items()
            return {str(key): cleaned(inner, _full_name(name, str(key))) for key, inner in items}
        if isinstance(item, (list, tuple)):
            return [cleaned(inner, name) for inner in cast("list[object]", item)]
        if not isinstance(item, str):
            return item
        if name and is_secret(name, item):
            return item if keep_references and "${" in item else HIDDEN
        return text_without_secrets(item) if in_texts else item

    return cleaned(value)


def text_without_secrets(text: str) -> str:
    """A text without the secrets that JSON, URLs and headers in it show by their names."""
    if _SUSPECT.search(text) is None:
        return text
    text = _JSON_PAIR().sub(_pair, text)
    text = _JSON_LIST().sub(_list, text)
    text = _QUERY_PAIR().sub(_query_pair, text)
    text = _HEADER().sub(lambda found: f"{found['scheme']} {HIDDEN}", text)
    text = _KEY().sub(HIDDEN, text)
    text = _PRIVATE_KEY().sub(rf"\1{HIDDEN}\2", text)
    text = _COOKIE().sub(rf"\g<head>{HIDDEN}", text)
    text = _PASSWORD().sub(_password, text)
    text = _NAMED_KEY().sub(_named_key, text)
    return _USER_INFO().sub(HIDDEN, text)


def without_values(text: AnyStr, secrets: Iterable[str]) -> AnyStr:
    """A text, or the bytes of one, without these secrets."""
    words = [secret for secret in secrets if len(secret) >= _SHORTEST_VALUE]
    if isinstance(text, str):
        return hidden_in(text, words)
    return hidden_in(text.decode("utf-8", "surrogateescape"), words).encode("utf-8", "surrogateescape")


def redacted(text: str) -> str:
    """A human-readable text, such as an error or a traceback, without what is secret by its value or by its name.

    Of one that is longer than anybody reads, the beginning and the end; see :func:`excerpt`.
    """
    return excerpt(text, lambda part: text_without_secrets(hidden(part)))


def excerpt(text: str, without: Callable[[str], str], most: int = MAX_ERROR) -> str:
    """A text without secrets; of a long one, its beginning and its end, and how much was left out.

    Only what is kept is searched, and a little more, so that half a secret is never shown.

    Args:
        text: of any length.
        without: takes the secrets out of a text.
        most: characters that are kept, half of them of the end.
    """
    half = most // 2
    if len(text) <= most + 2 * _MARGIN:
        whole = without(text)
        return whole if len(whole) <= most else f"{whole[:half]}{_left_out(len(whole) - 2 * half)}{whole[-half:]}"
    # A secret may have been cut at the ends of what is searched, where as much is taken off again.
    head = without(text[: half + _MARGIN])[:-_MARGIN][:half]
    tail = without(text[-half - _MARGIN :])[_MARGIN:][-half:]
    return f"{head}{_left_out(len(text) - 2 * half)}{tail}"


def _left_out(count: int) -> str:
    return f"\n… {count:,} characters left out …\n"


def remember_headers(headers: Mapping[str, str]) -> None:
    """The values of headers whose names tell so are secret."""
    remember(*(value for name, value in headers.items() if names_secret(name)))


def remember_url(url: str) -> None:
    """What a URL gives away is secret: a password, and values of the query whose names tell so."""
    try:
        parts = urlsplit(url)
    except ValueError:  # not a URL; whoever uses it says so
        return
    remember(parts.password)
    remember(*(value for name, value in query_values(parts.query) if names_secret(name) or is_secret(name, value)))


def remember_proxies() -> None:
    """The passwords of proxies that the environment names are secret: servers behind them may quote what they got."""
    from urllib.request import getproxies

    for url in getproxies().values():
        with suppress(ValueError):  # not a URL; whoever uses it says so
            if password := urlsplit(url).password:
                remember(password, unquote(password), placed=True)


def query_values(query: str) -> list[tuple[str, str]]:
    """Names and values of a URL's query: each value as it stands there, and as a server reads it."""
    written = [pair.partition("=") for pair in query.split("&")]
    return [*parse_qsl(query), *((name, value) for name, _, value in written if value)]


def secrets_of_headers(values: Iterable[str]) -> list[str]:
    """What must not be shown of these header values: they themselves, and of ``Bearer abc`` the second word alone."""
    return [secret for value in values for secret in (value, value.rpartition(" ")[2])]


def without_fields(value: JsonValue, paths: Iterable[str]) -> JsonValue:
    """The value, which is changed in place, without the fields that the paths lead to.

    Args:
        value: plain JSON data.
        paths: such as ``user.email``, ``$.items[*].card`` or ``items[0].card``. ``*`` stands for every item; a field
            without a number or star is also looked for in every item of an array.
    """
    for path in paths:
        steps = [a or b for a, b in _STEP.findall(path.removeprefix("$"))]
        if steps:
            _take_out(value, steps)
    return value


def names_secret(name: str) -> bool:
    """Whether a header or an environment variable of that name holds a secret: rather one too many."""
    return bool(_TELLING.search(name))


def is_written_out(name: str, value: str) -> bool:
    """Whether a header or setting of that name holds a secret itself, and not ``${NAME}`` in its place."""
    rest = _REFERENCE().sub(lambda found: found["default"] or "", value)
    if rest != value:
        rest = _SCHEME().sub("", rest)
    if not rest.strip():
        return False
    return names_secret(name) or is_secret(name, rest) or text_without_secrets(rest) != rest


def is_secret(name: str, value: str) -> bool:
    """Whether a text of that name is a secret."""
    word = _plain(name)
    if not value:
        return False
    if word in _WHOLE or any(part in word for part in _ANYWHERE):
        return True
    if word in _IF_IT_LOOKS_SO:
        return _looks_secret(value)
    a_token = word.endswith("token") and not word.endswith(_HARMLESS_TOKENS)
    return a_token and len(value) >= _SHORTEST_TOKEN and not any(map(str.isspace, value))


def _pair(found: re.Match[str]) -> str:
    if not is_secret(found["name"], found["value"]):
        return found[0]
    quote = found["q"]
    return f"{quote}{found['name']}{quote}{found['colon']}{quote}{HIDDEN}{quote}"


def _list(found: re.Match[str]) -> str:
    def item(text: re.Match[str]) -> str:
        return f"{text['q']}{HIDDEN}{text['q']}" if is_secret(found["name"], text["value"]) else text[0]

    return found["head"] + _JSON_TEXT().sub(item, found["items"])


def _password(found: re.Match[str]) -> str:
    value = found["value"]
    harmless = value.casefold() in _NO_PASSWORD or _is_reference(value) or not value.strip("*.…")
    return found[0] if harmless else f"{found['head']}{found['quote']}{HIDDEN}"


def _named_key(found: re.Match[str]) -> str:
    value = found["value"]
    secret = _looks_secret(value) and any(map(str.isdigit, value)) and not _is_reference(value)
    return f"{found['head']}{found['quote']}{HIDDEN}" if secret else found[0]


def _is_reference(value: str) -> bool:
    """Whether the value is the name of a variable, or of an environment variable."""
    return value.startswith(("$", "{", "<", "%", "("))


def _looks_secret(value: str) -> bool:
    """Whether it can be no word of a language."""
    if any(map(str.isspace, value)) or len(value) < _SHORTEST_VALUE:
        return False
    return len(value) >= _SHORTEST_TOKEN or any(map(str.isdigit, value))


def _full_name(outer: str, name: str) -> str:
    """The name of a field; in an object that is called a secret, that of the object for fields such as ``pass``."""
    inside = outer and name.lower() in _INSIDE and (_plain(outer) == "auth" or is_secret(outer, "x" * _SHORTEST_TOKEN))
    return "secret" if inside else name


def _query_pair(found: re.Match[str]) -> str:
    name = found["name"]
    secret = _plain(name) in _IN_A_QUERY or is_secret(name, found["value"])
    return f"{found['head']}{HIDDEN}" if secret else found[0]


@lru_cache(maxsize=1024)
def _plain(name: str) -> str:
    """The name in small letters with underscores, whether it is a header, an option or a field."""
    return _CAMEL.sub("_", name).replace("-", "_").replace(".", "_").lower()


def _take_out(value: JsonValue, steps: list[str]) -> None:
    step, rest = steps[0], steps[1:]
    if isinstance(value, dict):
        _from_object(cast("dict[str, Any]", value), step, rest)
    elif isinstance(value, list):
        items = cast("list[Any]", value)
        numbered = _INDEX.fullmatch(step) is not None
        inner = rest if numbered or step == "*" else steps
        for item in items[int(step) :][:1] if numbered else items:
            if inner:
                _take_out(item, inner)
        if not inner:
            _clear(items, step)


def _from_object(fields: dict[str, Any], step: str, rest: list[str]) -> None:
    names = list(fields) if step == "*" else [step] if step in fields else []
    for name in names:
        if rest:
            _take_out(fields[name], rest)
        else:
            del fields[name]


def _clear(items: list[Any], step: str) -> None:
    """Items are blanked, not removed: the numbers of the others stay as they are."""
    places = range(len(items)) if step == "*" else [int(step)]
    for place in places:
        if -len(items) <= place < len(items):
            items[place] = None
