from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from duologue.config.problems import Problems
from duologue.errors import SuiteError
from duologue.models.mock import ResponseFile

CASES = Path(__file__).parents[2] / "cases"
RESPONSE_FILES = sorted(path for path in CASES.glob("*/*/*.yaml") if "mock" in path.name)


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "mocks.yaml"
    path.write_text(text)
    return path


def refused(tmp_path: Path, text: str) -> list[str]:
    with pytest.raises(SuiteError) as caught:
        ResponseFile.read(written(tmp_path, text), shown_as="mocks.yaml")
    return [str(problem) for problem in caught.value.problems]


@pytest.mark.parametrize("path", RESPONSE_FILES, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_reads_every_response_file_of_the_cases(path: Path) -> None:
    file = ResponseFile.read(path)
    assert file.default or file.scenarios
    assert not file.problems


def test_finds_turn_then_scenario_default_then_default(tmp_path: Path) -> None:
    text = "defaultResponse: d\nscenarios:\n  s:\n    defaultResponse: sd\n    turns: {1: one, '2': {response: two}}\n"
    file = ResponseFile.read(written(tmp_path, text))

    def said(scenario: str, number: int) -> str:
        found = file.answer(scenario, number)
        return found.text if found else ""

    assert [said("s", 1), said("s", 2), said("s", 3), said("other", 1)] == ["one", "two", "sd", "d"]


def test_finds_nothing_where_nothing_is_written(tmp_path: Path) -> None:
    assert ResponseFile.read(written(tmp_path, "scenarios: {s: {turns: {2: two}}}")).answer("s", 1) is None


def test_a_persona_comes_before_the_scenario_and_falls_back_to_it(tmp_path: Path) -> None:
    text = "selfplay:\n  p: {turns: {1: q1}}\n  default: {turns: {2: any}}\nscenarios: {s: {turns: {1: a1, 2: a2}}}\n"
    file = ResponseFile.read(written(tmp_path, text))

    def said(number: int, persona: str) -> str:
        found = file.answer("s", number, persona=persona)
        return found.text if found else ""

    assert [said(1, "p"), said(2, "p"), said(1, "x"), said(2, "x")] == ["q1", "a2", "a1", "any"]


def test_steps_and_states_come_before_turns(tmp_path: Path) -> None:
    text = (
        "scenarios:\n  s:\n    turns: {1: t1}\n    defaultResponse: sd\n    steps: {classify: c}\n"
        "    states: {intake: {turns: {1: i1}, defaultResponse: idef}}\n"
    )
    answers = ResponseFile.read(written(tmp_path, text)).scenarios["s"]

    def said(number: int, step: str | None) -> str:
        found = answers.find(number, step)
        return found.text if found else ""

    assert [said(1, "classify"), said(1, "intake"), said(2, "intake")] == ["c", "i1", "idef"]
    assert [said(1, "other"), said(2, "other"), said(1, None)] == ["t1", "sd", "t1"]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("defaultRespons: x", "mocks.yaml:1:1: defaultRespons: unknown field 'defaultRespons'; did you mean"),
        ("scenarios: {s: {turns: {0: x}}}", 'scenarios.s.turns.0: found "0"; expected the number of a turn'),
        ("scenarios: {s: {turns: {one: x}}}", 'found "one"; expected the number of a turn'),
        ("scenarios: {s: {turns: {1: 42}}}", "expected a text, or a mapping with content or tool_calls. Put it in"),
        ("scenarios: {s: {turns: {1: {tool_calls: [{nam: x}]}}}}", "unknown field 'nam'; did you mean 'name'?"),
        ("scenarios: {s: {turns: {1: {type: txt, content: x}}}}", "expected one of text, tool_calls, multimodal"),
        ("scenarios: {s: {turns: {1: {content: a, text: b}}}}", "one of content, text and response"),
        ("scenarios: {s: {turns: {1: {}}}}", "content, parts, tool_calls or fault"),
        ("scenarios: {s: {turns: {1: {parts: [{type: image}]}}}}", "have the field 'image_url'"),
        ("scenarios: [s]", "scenarios: found a list of 1; expected a mapping"),
        ("scenarios: {s: x}", 'scenarios.s: found "x"; expected a mapping'),
        ("judges: {j: {verdict: maybe}}", "expected one of pass, fail, undecided"),
        ("judges: {j: true}", "found true (a boolean); expected pass, fail, undecided, a text, or a mapping"),
        ("judges: {j: {verdict: pass, content: x}}", "either content or a verdict"),
        ("- x", "found a list of 1; expected a mapping"),
        ("", "empty"),
    ],
)
def test_says_what_is_wrong_and_where(tmp_path: Path, text: str, told: str) -> None:
    problems = refused(tmp_path, text)
    assert any(told in problem and problem.startswith("mocks.yaml:") for problem in problems), problems


def test_tells_all_mistakes_at_once(tmp_path: Path) -> None:
    problems = refused(tmp_path, "scenarios:\n  s:\n    turns:\n      x: a\n      1: 5\n      2: {oops: 1}\n")
    assert [problem.split(": ")[0] for problem in problems] == ["mocks.yaml:4:7", "mocks.yaml:5:10", "mocks.yaml:6:10"]


def test_a_file_that_is_not_there_is_an_error_with_a_suggestion(tmp_path: Path) -> None:
    written(tmp_path, "defaultResponse: x")
    with pytest.raises(SuiteError, match=r"there is no file.*did you mean 'mocks\.yaml'"):
        ResponseFile.read(tmp_path / "mock.yaml")


def test_a_word_that_is_nearly_a_verdict_is_warned_of(tmp_path: Path) -> None:
    file = ResponseFile.read(written(tmp_path, "judges: {j: passs}"))
    assert [problem.severity for problem in file.problems] == ["warning"]
    assert "did you mean 'pass'" in file.problems[0].message


def test_warns_of_names_that_the_suite_does_not_have(tmp_path: Path) -> None:
    text = (
        "scenarios: {bookin: {defaultResponse: x}, booking: {states: {open: {}}}}\nselfplay: {ana: {}, anna: {}}\n"
        "judges: {strict: pass, default: {scenarios: {bokking: fail}}}\n"
    )
    file = ResponseFile.read(written(tmp_path, text))
    found = [str(problem) for problem in file.unused(scenarios=["booking"], personas=["anna"])]
    assert len(found) == 5
    assert "did you mean 'booking'?" in found[0]
    assert "no state is called 'open'" in found[1]
    assert "did you mean 'anna'?" in found[2]
    assert "no judge is called 'strict'" in found[3]
    assert "'bokking'; did you mean 'booking'?" in found[4]
    assert all(":1:" in problem for problem in found[:2])


def test_reads_json_too(tmp_path: Path) -> None:
    path = tmp_path / "mocks.json"
    path.write_text('{"scenarios": {"s": {"turns": {"1": "caf\\u00e9"}}}}')
    found = ResponseFile.read(path).answer("s", 1)
    assert found is not None
    assert found.text == "café"


def test_what_has_no_effect_is_warned_of(tmp_path: Path) -> None:
    file = ResponseFile.read(written(tmp_path, "scenarios: {s: {turns: {1: {text: hi, audio_file: a.pcm}}}}"))
    assert "audio_file: has no effect" in str(file.problems[0])


KEYS = st.sampled_from(
    "defaultResponse scenarios selfplay judges turns steps states tool_calls parts type content text name arguments "
    "default verdict criteria fault image_url url metadata 1 2 0 x".split()
)
SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(-2, 9), st.text(max_size=4), st.sampled_from(["pass", "text"])
)
DATA = st.recursive(
    SCALARS,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(KEYS, inner, max_size=4)),
    max_leaves=25,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.one_of(DATA.map(json.dumps), st.text(max_size=80)))
def test_whatever_a_file_holds_is_read_or_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "fuzz.yaml"
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    problems = Problems()
    file = ResponseFile.looked_at(path, problems, shown_as="fuzz.yaml")
    assert (file is None) == bool(problems.errors)
    assert all(problem.position.file == "fuzz.yaml" for problem in problems)
    if file is None:
        return
    for scenario in (*file.scenarios, "x"):
        for number in (1, 2, 3):
            answer = file.answer(scenario, number, persona="x", step="x")
            assert answer is None or answer.message()["role"] == "assistant"


def test_a_persona_may_say_other_things_in_another_scenario(tmp_path: Path) -> None:
    text = "selfplay: {p: {turns: {1: any, 2: any 2}, scenarios: {s: {turns: {1: own}}, t: {defaultResponse: all}}}}"
    file = ResponseFile.read(written(tmp_path, text))
    found = [file.answer(scenario, number, persona="p") for scenario in "stu" for number in (1, 2)]
    assert [item and item.text for item in found] == ["own", "any 2", "all", "all", "any", "any 2"]


def test_users_can_be_done_and_nobody_else(tmp_path: Path) -> None:
    file = ResponseFile.read(written(tmp_path, "selfplay: {p: {turns: {1: {done: gave_up}, 2: x}}}"))
    found = [file.answer("s", number, persona="p") for number in (1, 2)]
    assert [item and (item.text, item.done) for item in found] == [("", "gave_up"), ("x", None)]
    assert "unknown field 'done'" in refused(tmp_path, "scenarios: {s: {turns: {1: {content: a, done: gave_up}}}}")[0]
    assert "users call no tools" in refused(tmp_path, "selfplay: {p: {turns: {1: {tool_calls: [{name: f}]}}}}")[0]
    assert "goal_reached" in refused(tmp_path, "selfplay: {p: {turns: {1: {done: tired}}}}")[0]


def test_arguments_may_be_broken_json(tmp_path: Path) -> None:
    file = ResponseFile.read(
        written(tmp_path, "scenarios: {s: {turns: {1: {tool_calls: [{name: f, arguments: '{a'}]}}}}")
    )
    found = file.answer("s", 1)
    assert found is not None
    assert found.calls == (("call_0_f", "f", "{a"),)
