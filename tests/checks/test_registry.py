import asyncio
import subprocess
import sys
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import pytest
from waiting import LONG

import duologue
from duologue import checks, testing
from duologue.checks import registry
from duologue.checks.catalogue import PAGE, docs_of, main, page
from duologue.conversation.setup import CheckInput, CheckOutcome, evaluate
from duologue.errors import BudgetExceededError, CheckError, ConfigurationError, TargetError
from duologue.vocabulary import CheckStatus, Scope, Termination, Verdict

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def own_registry(monkeypatch: pytest.MonkeyPatch) -> None:
    registry.registered()
    monkeypatch.setattr(registry, "_types", dict(registry._types))
    monkeypatch.setattr(registry, "_names", dict(registry._names))


def polite(input: CheckInput, *, words: list[str], at_least: int = 1) -> bool:
    """The agent is polite."""
    text = " ".join(str(record.message.get("content")) for record in input.records)
    return sum(word in text for word in words) >= at_least


class Shouts(checks.CheckType):
    """The agent shouts."""

    loudness: int = 1
    """Exclamation marks."""

    def look(self, subject: checks.Subject, resources: checks.Resources) -> checks.Finding:
        return checks.finding(subject.answer.text.count("!") >= self.loudness, "counted")


async def test_a_function_becomes_a_type_with_strict_parameters(build: Any) -> None:
    assert checks.check("polite", aliases=["courteous"])(polite) is polite
    check = checks.create("courteous", {"words": ["please"]})
    assert (check.kind, check.written_as) == ("polite", "courteous")
    assert (await check.evaluate(build("u: x", "a: please wait"))).status is CheckStatus.PASSED
    assert (await check.evaluate(build("u: x", "a: wait"))).status is CheckStatus.FAILED
    with pytest.raises(ConfigurationError, match=r"unknown parameter 'word' .*did you mean 'words'"):
        checks.create("polite", {"word": ["please"]})
    with pytest.raises(ConfigurationError, match="parameter 'at_least': found \"1\""):
        checks.create("polite", {"words": [], "at_least": "1"})


@pytest.mark.parametrize(
    ("returned", "status"),
    [
        (True, CheckStatus.PASSED),
        (None, CheckStatus.PASSED),
        (0.5, CheckStatus.FAILED),
        (checks.skipped("no reason"), CheckStatus.SKIPPED),
        (CheckOutcome(status=CheckStatus.ERROR, explanation="broken"), CheckStatus.ERROR),
    ],
)
async def test_what_a_function_may_return(build: Any, returned: Any, status: CheckStatus) -> None:
    async def answers(input: CheckInput) -> Any:
        return returned

    checks.check("answers")(answers)
    assert (await checks.create("answers").evaluate(build("u: x"))).status is status


async def test_what_a_function_may_not_return(build: Any) -> None:
    checks.check("strange")(lambda input: "yes")
    with pytest.raises(CheckError, match="returned 'yes'; expected True"):
        await checks.create("strange").evaluate(build("u: x"))


async def test_a_class_becomes_a_type_for_some_scopes(build: Any) -> None:
    checks.check("shouts", scopes=[Scope.CONVERSATION])(Shouts)
    assert (await checks.create("shouts").evaluate(build("u: x", "a: Hey!"))).status is CheckStatus.PASSED
    with pytest.raises(ConfigurationError, match="cannot be used for a turn; expected: conversation"):
        checks.create("shouts", scope=Scope.TURN)


def test_a_name_is_given_once() -> None:
    with pytest.raises(ConfigurationError, match="two check types are called 'contains'; rename one"):
        checks.check("mine", aliases=["contains"])(Shouts)
    assert "mine" not in checks.known_types()


async def test_a_function_is_found_by_its_place(build: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = "def short(input, *, most: int):\n    return len(input.records) <= most\n\nnumber = 3\n"
    (tmp_path / "my_own_checks.py").write_text(source, "utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    check = checks.create("my_own_checks:short", {"most": 1})
    assert (check.kind, (await check.evaluate(build("u: x"))).status) == ("my_own_checks:short", CheckStatus.PASSED)
    for wrong, said in [
        ("my_own_checks:long", "has no attribute 'long'"),
        ("no_such_module:x", "No module named"),
        ("my_own_checks:number", "is a int"),
    ]:
        with pytest.raises(TargetError, match=said):
            checks.create(wrong)


def test_packages_add_types_by_entry_point(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "packaged_checks.py").write_text("def calm(input):\n    'Calm.'\n    return True\n", "utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    good = EntryPoint("calm", "packaged_checks:calm", "duologue.checks")
    bad = EntryPoint("wild", "packaged_checks:wild", "duologue.checks")
    monkeypatch.setattr(registry, "other_entry_points", lambda group: [good])
    assert checks.create("calm").kind == "calm"
    assert [info.family for info in checks.registered() if info.kind == "calm"] == ["packaged_checks"]
    monkeypatch.setattr(registry, "other_entry_points", lambda group: [good, bad])
    with pytest.raises(TargetError, match=r"cannot load 'wild' \(packaged_checks:wild, entry point"):
        checks.create("wild")


def test_packages_add_a_module_of_types_by_entry_point(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    source = "from duologue import checks\n\n@checks.check('tidy', aliases=['neat'])\ndef tidy(input): 'Tidy.'\n"
    (tmp_path / "module_of_checks.py").write_text(source, "utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    point = EntryPoint("acme", "module_of_checks", "duologue.checks")
    monkeypatch.setattr(registry, "other_entry_points", lambda group: [point])
    assert checks.is_known("neat")
    assert not checks.is_known("acme")
    assert checks.create("neat").kind == "tidy"
    assert {"tidy", "neat"} <= set(checks.known_types())


def test_an_installation_without_entry_points_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "own_entry_points", lambda group: {})
    with pytest.raises(ConfigurationError, match="metadata of Duologue is missing or older than its source; install"):
        checks.create("contains")


def test_checks_take_part_in_a_run() -> None:
    def talk(*check: checks.CatalogueCheck) -> duologue.ScenarioResult:
        agents = [testing.ScriptedUserAgent(["hi", "and?"]), testing.ScriptedAgent(["hello", "bye"])]
        main_ = duologue.arun(
            "s", "d", agents, checks=list(check), script=[duologue.proceed(2)], verbose=False, context=testing.context()
        )
        return testing.run_virtual(main_)

    hello = checks.create("contains", {"patterns": ["hello"]}, scope=Scope.TURN, name="greets")
    anywhere = checks.create("contains", {"patterns": ["hello", "bye"]}, scope=Scope.CONVERSATION, name="says both")
    assert talk(anywhere).verdict is Verdict.PASS
    result = talk(hello, anywhere)
    assert (result.verdict, result.failed_criteria) == (Verdict.FAIL, ["greets"])
    unsure = checks.create(
        "llm_judge", {"criteria": "c"}, resources=checks.Resources(judge=testing.ScriptedModel(["?", "?"]))
    )
    with pytest.raises(CheckError, match="gave no judgement"):
        talk(unsure)


def test_a_judge_that_the_budget_does_not_allow_ends_the_run() -> None:
    model = testing.ScriptedModel(["never asked"])
    check = checks.create("llm_judge", {"criteria": "c"}, resources=checks.Resources(judge=model))
    agents = [testing.ScriptedUserAgent(["hi"]), testing.ScriptedAgent(["hello"])]
    script = [duologue.user(), duologue.agent()]
    budget = duologue.Budget(tokens=1)
    run = duologue.arun("s", "d", agents, checks=[check], script=script, budget=budget, verbose=False)
    with pytest.raises(BudgetExceededError) as caught:
        asyncio.run(run)
    assert caught.value.result.termination is Termination.BUDGET
    assert not model.requests


def test_the_page_of_the_catalogue_is_fresh() -> None:
    assert (ROOT / PAGE).read_text("utf-8") == page(), "stale; run: python -m duologue.checks.catalogue"


def test_every_parameter_says_what_it_is() -> None:
    own = [info for info in checks.registered() if info.parameters.__module__.startswith("duologue.")]
    silent = [f"{info.kind}.{name}" for info in own for name, text in docs_of(info.parameters).items() if not text]
    assert [*silent, *(info.kind for info in own if not info.summary)] == []


def test_the_page_is_written_and_compared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "docs/reference").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    assert main(["--check"]) == 1
    assert main([]) == 0
    assert main(["--check"]) == 0
    assert "up to date" in capsys.readouterr().out


def test_importing_checks_loads_nothing_heavy_and_registers_nothing() -> None:
    code = (
        "import sys, duologue.checks, duologue.checks.registry as r\n"
        "heavy = {'httpx', 'numpy', 'jsonschema', 'jmespath', 'regex', 'onnxruntime', 'tinytag', 'pydantic_ai'}\n"
        "print(sorted(heavy & set(sys.modules)), len(r._types) < 80)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=LONG, check=True)
    assert done.stdout.split() == ["[]", "True"]


OWN = """
from __future__ import annotations
import typing
import duologue

def annotated(conversation: duologue.ScenarioState):
    assert not conversation.has_tool_call("look"), "it looked"

def optional(s: duologue.ScenarioState | None) -> bool:
    return not s.has_tool_call("look")

def noted(s: typing.Annotated[duologue.ScenarioState, "x"]) -> bool:
    return not s.has_tool_call("look")

def named(state):
    return not state.has_tool_call("look")

async def later(state, *, tool: str = "look"):
    assert not state.has_tool_call(tool)

def input_annotated(state: duologue.CheckInput):
    return not state.state.has_tool_call("look")

def input_named(input):
    return not input.state.has_tool_call("look")

class Callable:
    def __call__(self, state):
        return not state.has_tool_call("look")

called = Callable()

def nothing():
    return True

def keywords(*, state):
    return True

def other(input: duologue.AgentInput):
    return True

def text(words: str):
    return True
"""


@pytest.mark.parametrize("reference", ["{}:", "{}.py:", "./{}.py:"])
@pytest.mark.parametrize(
    "name",
    ["annotated", "optional", "noted", "named", "later", "input_annotated", "input_named", "called"],
)
async def test_a_function_is_given_what_it_takes(
    build: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, reference: str
) -> None:
    module = f"own_{name}"
    (tmp_path / f"{module}.py").write_text(OWN, "utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    kind = reference.format(module) + name
    check = checks.create(kind, resources=checks.Resources(folder=tmp_path))
    assert (check.kind, (await evaluate(check, build("u: x", "a: y"))).status) == (kind, CheckStatus.PASSED)
    looked = await evaluate(check, build("u: x", ("look", {}, "ok"), "a: y"))
    assert looked.status is CheckStatus.FAILED
    assert looked.explanation == ("it looked" if name == "annotated" else looked.explanation)


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("nothing", "takes no argument"),
        ("keywords", "takes no argument"),
        ("other", "takes a AgentInput"),
        ("text", "takes a str"),
    ],
)
def test_a_function_of_something_else_is_refused(tmp_path: Path, name: str, found: str) -> None:
    (tmp_path / "refused.py").write_text(OWN, "utf-8")
    with pytest.raises(ConfigurationError, match=rf"expected a function of the state .* or of a .*; found .*{found}"):
        checks.create(f"refused.py:{name}", resources=checks.Resources(folder=tmp_path))


@pytest.mark.parametrize(
    ("reference", "text", "said"),
    [
        ("none.py:x", "", "there is no file"),
        ("broken.py:x", "def x(:", "SyntaxError"),
        ("broken.py:x", "raise RuntimeError('no key')", "RuntimeError: no key"),
        ("broken.py:x", "raise SystemExit(1)", "SystemExit: 1"),
        ("broken.py:x", "", "has no attribute 'x'"),
    ],
)
def test_a_file_that_cannot_be_loaded_is_told(tmp_path: Path, reference: str, text: str, said: str) -> None:
    (tmp_path / "broken.py").write_text(text, "utf-8")
    with pytest.raises(TargetError, match=said):
        checks.create(reference, resources=checks.Resources(folder=tmp_path))
