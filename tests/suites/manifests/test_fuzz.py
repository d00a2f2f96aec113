"""Whatever is written: a suite, or errors with a place. Never another exception, never a hang."""

from __future__ import annotations

import copy
import random
from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from duologue.suites.manifests.loader import validate

CASES = Path(__file__).parents[2] / "cases"
SHOP = (Path(__file__).parent / "shop.suite.yaml").read_text("utf-8")
ARENA = (CASES / "probes" / "e16_bad_params" / "scenarios" / "s3_tools.yaml").read_text("utf-8")
ODD = [
    None,
    True,
    -1,
    0,
    10**40,
    1.5,
    "",
    "x" * 300,
    "${NOWHERE}",
    "../../../../etc/passwd",
    "\u202e{{loop}}",
    [],
    [None],
    [[["a"]]],
    {},
    {"a": {"b": {"c": [1]}}},
    {"name": "anna", "file": "suite.yaml"},
]
SNIPPETS = [
    "\t", "&a ", "*a", "<<: *a", "!!binary ", "!x ", "---\n", "...\n", ": ", "- ", "? ", "{", "}", "[", "]", '"', "'",
    "|", ">", "#", "%YAML 9.9\n", "\0", "\ufeff", "\u2028", "😀", ".nan", ".inf", "0x", "1e999", "yes", "~", "\r", "\n",
]  # fmt: skip


def told(folder: Path, text: str) -> None:
    path = folder / "suite.yaml"
    path.write_text(text, encoding="utf-8", errors="surrogatepass", newline="")
    report = validate(path)
    assert report.ok == (report.suite is not None and not report.errors)
    assert report.ok or report.errors, "a suite that is refused without a reason"
    for problem in report.problems:
        assert problem.position.file != "?", problem
        assert problem.message


def changed(value, chance: random.Random, odd):
    """The same data with one value replaced, removed, renamed or doubled."""
    paths = list(places(value))
    path = chance.choice(paths)
    holder = value
    for step in path[:-1]:
        holder = holder[step]
    key = path[-1]
    match chance.randrange(5):
        case 0 | 1:
            holder[key] = odd
        case 2:
            del holder[key]
        case 3 if isinstance(holder, dict):
            holder[f"{key}s"] = holder.pop(key)
        case _ if isinstance(holder, list):
            holder.append(holder[key])
        case _:
            holder[key] = [holder[key]]
    return value


def places(value, path=()):
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield (*path, key)
        yield from places(item, (*path, key))


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 2**32), odd=st.lists(st.sampled_from(ODD), min_size=1, max_size=3), arena=st.booleans())
def test_a_suite_with_odd_values_is_told_what_is_odd(tmp_path, seed, odd, arena):
    chance = random.Random(seed)
    data = yaml.safe_load(ARENA if arena else SHOP)
    for value in odd:
        data = changed(data, chance, copy.deepcopy(value))
    told(tmp_path, yaml.safe_dump(data, allow_unicode=True, sort_keys=False))


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 2**32), snippets=st.lists(st.sampled_from(SNIPPETS), min_size=1, max_size=4))
def test_a_suite_with_odd_text_is_told_where_it_is_odd(tmp_path, seed, snippets):
    chance = random.Random(seed)
    text = SHOP
    for snippet in snippets:
        at = chance.randrange(len(text))
        text = text[:at] + snippet + text[at + chance.randrange(3) :]
    told(tmp_path, text)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=st.binary(max_size=200))
def test_bytes_are_told_to_be_no_text(tmp_path, content):
    path = tmp_path / "suite.yaml"
    path.write_bytes(content)
    assert validate(path).errors


@pytest.mark.parametrize(
    "text",
    [
        "a: " + "[" * 10_000,
        "a: " + "{a: " * 10_000,
        "- " * 10_000,
        "\n".join(f"{' ' * depth}a:" for depth in range(2_000)),
        "a: &x [*x]",
        "a: &x {<<: *x}",
        "a0: &a0 [x, x]\n" + "\n".join(f"a{i}: &a{i} [*a{i - 1}, *a{i - 1}]" for i in range(1, 60)),
        "a0: &a0 {k: v}\n" + "\n".join(f"a{i}: &a{i} {{x: *a{i - 1}, y: *a{i - 1}}}" for i in range(1, 60)),
        "a: " + "9" * 100_000,
        "a: 0x" + "f" * 100_000,
        "a: " + '"' + "x" * 1_000_000,
        "? " * 5_000,
        "k: v\n" * 5_000,
        "!!set {a, b}",
        "%TAG ! tag:x,2000:\n---\n!y a",
    ],
)
def test_files_that_are_made_to_hurt_are_refused_at_once(tmp_path, text):
    path = tmp_path / "suite.yaml"
    path.write_text(text)
    report = validate(path)
    assert report.errors
    assert all(problem.position.line for problem in report.errors)


def test_many_mistakes_are_found_in_reasonable_time(tmp_path):
    many = "\n".join(f"    - {{name: s{index}, nonsense: {index}}}" for index in range(20_000))
    path = tmp_path / "suite.yaml"
    path.write_text(f"apiVersion: duologue/v1\nkind: Suite\nmetadata: {{name: s}}\nspec:\n  scenarios:\n{many}\n")
    report = validate(path)
    assert len(report.errors) >= 20_000
    assert len(str(report).splitlines()) == 51
