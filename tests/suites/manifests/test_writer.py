"""A suite is written as files that read back as the same suite."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from duologue.config.problems import Problems, plain
from duologue.config.yaml_reader import parse
from duologue.config.yaml_writer import yaml_text
from duologue.errors import ConfigurationError
from duologue.specs.agents import Agent, HttpEndpoint, Judge, Model, Persona, Sampling
from duologue.specs.checks import CheckSpec, When
from duologue.specs.prompts import Prompt, Tool, Variable
from duologue.specs.scenario import Media, Part, Scenario, Turn
from duologue.specs.suite import Defaults, Output, Replay, Suite
from duologue.suites.manifests.loader import load, validate
from duologue.suites.manifests.writer import as_files, resource_text, suite_text, write_suite

CASES = Path(__file__).parents[2] / "cases"
LOADABLE = [path for path in sorted(CASES.glob("*/*/")) if validate(path).ok]


def read(text):
    problems = Problems()
    value = plain(parse(text, "f.yaml", problems))
    assert not list(problems), list(map(str, problems))
    return value


@pytest.mark.parametrize("case", LOADABLE, ids=lambda path: path.name)
def test_every_arena_is_the_same_suite_in_our_dialect(case, tmp_path):
    suite = load(case)
    done = write_suite(suite, tmp_path / "out")
    again = load(tmp_path / "out")
    assert again == suite
    assert done.left == ()
    assert not [str(problem) for problem in validate(tmp_path / "out").warnings if "no file" in str(problem)]
    for path in done.copied:
        assert path.read_bytes() == (case / path.relative_to(tmp_path / "out")).read_bytes()


@pytest.mark.parametrize("case", LOADABLE, ids=lambda path: path.name)
def test_every_arena_is_the_same_suite_in_one_file(case, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    suite = load(case)
    write_suite(suite, Path("one.yaml"))
    again = load("one.yaml")
    assert [item.name for item in again.scenarios] == [item.name for item in suite.scenarios]
    assert again.within(suite.folder).written().keys() == suite.written().keys()
    for model, copy in zip(suite.models, again.models, strict=True):
        if model.mock_file:
            assert again.path(copy.mock_file).samefile(suite.path(model.mock_file))


def test_files_that_tools_answer_with_go_with_the_suite(folder, tmp_path):
    folder.put("shop/pictures/a.png", b"png")
    part = {"type": "image", "media": {"mime_type": "image/png", "file_path": "pictures/a.png"}}
    suite = Suite(name="s", tools=(Tool(name="look", description="d", mock_parts=(part,)),)).within(Path("shop"))
    write_suite(suite, Path("copy"))
    assert load("copy").path("pictures/a.png").read_bytes() == b"png"
    write_suite(suite, Path("one.yaml"))
    assert load("one.yaml").tools[0].mock_parts[0]["media"]["file_path"] == "shop/pictures/a.png"


def test_what_is_in_one_file_reads_back_as_it_was(shop, folder):
    folder.put("suite.yaml", shop)
    suite = load("suite.yaml")
    folder.put("again.yaml", suite_text(suite))
    assert load("again.yaml") == suite


CHARACTERS = st.characters(exclude_categories=["Cs"], exclude_characters="\0\ufeff")
ODD = "yes no null ~ 1e3 0o17 0x1F 012 1_000 2024-01-01 12:30 #a @a %a ${A:-b} {{a}} {a} << = !a &a *a .inf ' \" \\"
LINES = ["", " a ", "a: b", "- a", "a #b", "a\nb", "a\nb\n", "\n", "a\n\n\n", "  a\n b", "a \nb", "\tb", "a\rb", "\x07"]
BREAKS = ["a\x85b\nc", "a\u2028b\nc", "\u2029", "x" * 300, "x " * 200, "9" * 400]
TEXTS = st.text(CHARACTERS, max_size=40) | st.sampled_from([*ODD.split(), *LINES, *BREAKS])
NAMES = st.text(CHARACTERS, min_size=1, max_size=20) | st.sampled_from(
    ["../../x", "A", "a", "con", ".hidden", "a/b", "é", "yes", "1", "x" * 200]
)
KEYS = NAMES | st.just("<<")
SCALARS = st.none() | st.booleans() | st.integers(-(10**30), 10**30) | st.floats(allow_nan=False, allow_infinity=False)
VALUES = st.recursive(
    SCALARS | TEXTS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3), max_leaves=6
)
OBJECTS = st.dictionaries(KEYS, VALUES, max_size=2)


@settings(max_examples=500, deadline=None)
@given(VALUES)
def test_what_is_written_is_read_as_it_was(value):
    if value is None:
        return
    found = read(yaml_text({"it": value}))["it"]
    assert json.dumps(found) == json.dumps(value)


def listed(strategy):
    return st.lists(strategy, max_size=2).map(tuple)


def unique(strategy):
    return st.lists(strategy, max_size=2, unique_by=lambda item: item.name).map(tuple)


CHECKS = st.builds(
    CheckSpec,
    type=st.just("contains"),
    params=st.fixed_dictionaries({"patterns": st.lists(TEXTS, min_size=1, max_size=3)}),
    message=st.none() | TEXTS,
    when=st.none() | st.builds(When, tool_called=TEXTS),
)
TURNS = st.builds(Turn, content=TEXTS, checks=listed(CHECKS), seed=st.none() | st.integers()) | st.builds(
    Turn,
    parts=st.tuples(
        st.builds(Part, type=st.just("image"), media=st.builds(Media, mime_type=TEXTS, data=TEXTS.filter(bool)))
    ),
)
WORDS = st.dictionaries(st.sampled_from("abc"), TEXTS, max_size=2)
FILLED = TEXTS.filter(bool)
SCENARIOS = st.builds(
    Scenario,
    name=NAMES,
    goal=FILLED,
    tags=listed(TEXTS),
    turns=listed(TURNS),
    criteria=listed(TEXTS),
    variables=st.dictionaries(KEYS, TEXTS, max_size=2),
    annotations=st.just({"a": "yes"}),
)
ENDPOINTS = st.builds(HttpEndpoint, url=FILLED, extra_body=OBJECTS)
SAMPLINGS = st.none() | st.builds(Sampling, top_p=st.floats(0, 1))
VARIABLES = st.builds(Variable, name=NAMES, default=VALUES)
OUTPUTS = st.none() | st.builds(Output, dir=TEXTS)
SUITES = st.builds(
    Suite,
    name=NAMES,
    description=TEXTS,
    labels=WORDS,
    scenarios=unique(SCENARIOS),
    agents=unique(st.builds(Agent, name=NAMES, http=ENDPOINTS)),
    models=unique(st.builds(Model, name=NAMES, provider=st.just("mock"), options=OBJECTS, sampling=SAMPLINGS)),
    personas=unique(st.builds(Persona, name=NAMES, goals=listed(TEXTS), facts=WORDS)),
    prompts=unique(st.builds(Prompt, name=NAMES, system_template=TEXTS, variables=listed(VARIABLES))),
    tools=unique(st.builds(Tool, name=NAMES, description=TEXTS, mock_result=VALUES, input_schema=OBJECTS)),
    judges=unique(st.builds(Judge, name=NAMES, model=st.just("local"))),
    checks=listed(CHECKS),
    extensions=OBJECTS,
    defaults=st.builds(Defaults, seed=st.none() | st.integers(0), allow_undecided=st.just("all"), output=OUTPUTS),
)


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(suite=SUITES)
def test_any_suite_reads_back_as_it_was(tmp_path_factory, suite):
    folder = tmp_path_factory.mktemp("suite")
    write_suite(suite, folder)
    report = validate(folder)
    assert report.suite == suite, str(report)
    write_suite(suite, folder / "one.yaml")
    assert validate(folder / "one.yaml").suite == suite


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(suite=SUITES)
def test_files_have_names_that_every_system_can_hold(suite):
    paths = list(as_files(suite))
    assert paths[0] == "suite.yaml"
    assert len({path.lower() for path in paths}) == len(paths)
    for path in paths:
        assert ".." not in Path(path).parts
        assert not Path(path).is_absolute()
        assert len(Path(path).name) < 100


def test_what_no_file_can_hold_is_an_error(tmp_path):
    for value in (float("nan"), float("inf"), "a\0b", "\ud800"):
        with pytest.raises(ConfigurationError):
            yaml_text({"a": value})
    with pytest.raises(ConfigurationError, match="character"):
        write_suite(Suite(name="a\0b"), tmp_path / "x")
    assert not (tmp_path / "x").exists()


def test_files_that_exist_are_replaced_only_if_asked(tmp_path):
    suite = Suite(name="s", personas=(Persona(name="a"),))
    write_suite(suite, tmp_path)
    with pytest.raises(
        ConfigurationError, match=r"suite\.yaml, .*personas/a\.yaml: there already; nothing was written"
    ):
        write_suite(suite, tmp_path)
    done = write_suite(suite.changed(name="t"), tmp_path, replace=True)
    assert load(tmp_path).name == "t"
    assert done.main == tmp_path / "suite.yaml"
    assert sorted(path.name for path in tmp_path.rglob("*") if path.is_file()) == ["a.yaml", "suite.yaml"]


def test_code_keys_and_files_outside_stay_where_they_are(tmp_path):
    source = tmp_path / "source"
    for name in ("answers.yaml", "one.json", "two.json", "key.txt", "agent.py"):
        source.mkdir(exist_ok=True)
        (source / name).write_text("{}")
    (tmp_path / "outside.yaml").write_text("{}")
    text = suite_text(
        Suite(
            name="s",
            models=(
                Model(name="a", provider="mock", mock_file="answers.yaml"),
                Model(name="b", provider="mock", mock_file="../outside.yaml"),
            ),
            agents=(Agent(name="a", target="agent.py:it"), Agent(name="b", target="module:it")),
            replays=(Replay(name="r", recording="*.json"),),
        )
    )
    (source / "suite.yaml").write_text(text)
    done = write_suite(load(source), tmp_path / "deep" / "out")
    assert {path.name for path in done.copied} == {"answers.yaml", "one.json", "two.json"}
    assert done.left == ("../../source/agent.py:it", "../../outside.yaml") or set(done.left) == {
        "../../source/agent.py:it",
        "../../outside.yaml",
    }
    again = load(tmp_path / "deep" / "out")
    assert [model.mock_file for model in again.models] == ["answers.yaml", "../../outside.yaml"]
    assert again.replays[0].recording == "*.json"


def test_references_to_the_environment_are_not_filled_in(monkeypatch):
    monkeypatch.setenv("HOST", "secret.example")
    agent = Agent(name="a", http=HttpEndpoint(url="http://${HOST}"))
    assert "secret" not in resource_text(agent)
    assert read(resource_text(agent))["spec"]["http"]["url"] == "http://${HOST}"


def test_the_text_is_one_that_people_would_write():
    scenario = Scenario(
        name="order",
        description="Where is it?\nIt is late.",
        tags=("a", "b"),
        turns=(Turn(content="yes", checks=(CheckSpec(type="contains", params={"patterns": ["sent"]}),)),),
    )
    assert resource_text(scenario) == (
        "apiVersion: duologue/v1\n"
        "kind: Scenario\n"
        "metadata:\n"
        "  name: order\n"
        "spec:\n"
        "  description: |-\n"
        "    Where is it?\n"
        "    It is late.\n"
        "  tags: [a, b]\n"
        "  turns:\n"
        "    - content: 'yes'\n"
        "      checks:\n"
        "        - type: contains\n"
        "          params:\n"
        "            patterns: [sent]\n"
    )
