"""Scenarios whose test cases come from a table."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from duologue.cli.app import invoke
from duologue.errors import ConfigurationError, SuiteError
from duologue.runs.store.reader import read_execution
from duologue.specs.scenario import Scenario
from duologue.suites.manifests.loader import load, validate
from duologue.suites.plan.build import Filters, generate_plan

SUITE = """
apiVersion: duologue/v1
kind: Suite
metadata: {name: orders}
spec:
  agents:
    - {name: echo, target: "agent.py:answer"}
  scenarios:
    - name: refund
      cases: CASES
      description: "{{row.who}} wants money back"
      turns:
        - {role: user, content: "Order {{row.order}}, please"}
      checks:
        - {type: contains, params: {patterns: ["{{row.order}}"]}}
    - name: greeting
      turns: [{role: user, content: "Hello"}]
      checks: [{type: contains, params: {patterns: ["Hello"]}}]
"""
AGENT = """
def answer(input):
    return input.last_new_user_message_str()
"""
CSV = 'id,order,who\nfirst,4711,Ann\nsecond,4712,"Bo, the elder"\n'
ROWS = [{"id": "first", "order": "4711", "who": "Ann"}, {"id": "second", "order": "4712", "who": "Bo, the elder"}]


def written(folder: Path, table: str, name: str = "cases.csv", suite: str = SUITE) -> Path:
    (folder / "agent.py").write_text(AGENT)
    (folder / name).write_bytes(table.encode())
    path = folder / "orders.suite.yaml"
    path.write_text(suite.replace("CASES", name))
    return path


@pytest.mark.parametrize(
    ("name", "table"),
    [
        ("cases.csv", CSV),
        ("cases.csv", "\ufeff" + CSV.replace("\n", "\r\n") + "\r\n"),
        ("cases.csv", 'id;order;who\nfirst;4711;Ann\nsecond;4712;"Bo, the elder"\n'),
        ("cases.tsv", "id\torder\twho\nfirst\t4711\tAnn\nsecond\t4712\tBo, the elder\n"),
        ("cases.jsonl", "\n\n".join(map(json.dumps, ROWS))),
        ("cases.json", json.dumps(ROWS)),
    ],
)
def test_each_row_is_a_scenario(tmp_path: Path, name: str, table: str) -> None:
    suite = load(written(tmp_path, table, name))
    refunds = suite.scenarios[:2]
    assert [item.name for item in suite.scenarios] == ["refund/first", "refund/second", "greeting"]
    assert [item.description for item in refunds] == ["Ann wants money back", "Bo, the elder wants money back"]
    assert [item.turns[0].content for item in refunds] == ["Order 4711, please", "Order 4712, please"]
    assert [item.checks[0].params["patterns"] for item in refunds] == [["4711"], ["4712"]]


def test_values_keep_their_type_where_they_are_the_whole_field(tmp_path: Path) -> None:
    suite = SUITE.replace("description:", "max_turns: '{{row.turns}}'\n      description:")
    table = '{"order": 1, "who": {"name": "Ann"}, "turns": 3}\n{"order": 2, "who": null, "turns": 4}'
    made = load(written(tmp_path, table.replace('"order": 1', '"order": "1"').replace('"order": 2', '"order": "2"'),
                        "cases.jsonl", suite))  # fmt: skip
    assert [item.max_turns for item in made.scenarios[:2]] == [3, 4]
    assert [item.description for item in made.scenarios[:2]] == [
        '{"name": "Ann"} wants money back',
        " wants money back",
    ]
    assert [item.name for item in made.scenarios[:2]] == ["refund/1", "refund/2"]


def test_filters_know_the_scenario_and_its_rows(tmp_path: Path) -> None:
    suite = load(written(tmp_path, CSV))

    def chosen(name: str) -> list[str]:
        return [case.scenario for case in generate_plan(suite, Filters(scenarios=[name])).cases]

    assert chosen("refund") == ["refund/first", "refund/second"]
    assert chosen("refund/second") == ["refund/second"]
    with pytest.raises(ConfigurationError, match="has no scenario 'refun'"):
        chosen("refun")


def test_a_run_reports_each_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(tmp_path, CSV)
    monkeypatch.chdir(tmp_path)
    assert invoke(["run", path.name, "--out", "results", "-q"]) == 0
    assert [run.case.scenario for run in read_execution(Path("results")).runs] == [
        *("refund/first", "refund/second", "greeting")
    ]
    (tmp_path / "cases.csv").write_text(CSV.replace("4712", "4713"))
    assert invoke(["run", path.name, "--resume", "results", "-q"]) == 0
    replaced = list((tmp_path / "results" / "runs").glob("*.replaced"))
    assert [item.name.startswith("refund-second") for item in replaced] == [True]


def test_a_scenario_file_names_its_table_too(tmp_path: Path) -> None:
    (tmp_path / "refund.yaml").write_text(
        "apiVersion: duologue/v1\nkind: Scenario\nmetadata: {name: refund}\nspec:\n  cases: cases.csv\n"
        "  turns: [{role: user, content: 'Order {{row.order}}'}]\n"
    )
    suite = SUITE[: SUITE.index("    - name: refund")] + "    - file: refund.yaml\n"
    assert len(load(written(tmp_path, CSV, suite=suite)).scenarios) == 2
    alone = validate(tmp_path / "refund.yaml")
    assert alone.ok
    assert alone.suite is not None
    assert [item.name for item in alone.suite.scenarios] == ["refund/first", "refund/second"]


@pytest.mark.parametrize(
    ("name", "table", "said"),
    [
        ("cases.csv", "id,ordr,who\na,1,x\n", "{{row.order}}: cases.csv has no column 'order'; did you mean 'ordr'?"),
        ("cases.csv", "id,order,who\na,1\n", "line 2: expected 3 values; found fewer"),
        ("cases.csv", "id,order,who\na,1,x,y\n", "line 2: expected 3 values; found 4"),
        ("cases.csv", "id,order,order\na,1,x\n", "line 1: expected the name of each column once"),
        ("cases.csv", "id,order,who\n", "has no rows"),
        ("cases.csv", "", "has no rows"),
        ("cases.csv", "id,order,who\na,1,x\na,2,y\n", "two rows are called 'a': those of lines 2 and 3"),
        ("cases.jsonl", '{"order": "1", "who": "x"}\n{"order": "2"}\n', "cases.jsonl:2"),
        ("cases.jsonl", '{"order": "1", "who": "x"}\n["2"]\n', "expected an object"),
        ("cases.jsonl", '{"order": "1"\n', "line 1: not JSON"),
        ("cases.json", '{"order": "1"}', "expected a list of objects"),
        ("cases.csv", '"id,order,who\na,1,x\n', "line 1: unexpected end of data"),
        ("cases.json", "[" * 100_000, "nested deeper"),
        ("cases.jsonl", '{"order": NaN, "who": "x"}\n', "NaN is not JSON"),
        ("cases.jsonl", '{"order": ' + "9" * 5000 + ', "who": "x"}\n', "line 1: not JSON"),
        ("cases.txt", "order\n1\n", "ends in .csv, .tsv, .json or .jsonl"),
    ],
)
def test_what_is_wrong_with_a_table_is_said(tmp_path: Path, name: str, table: str, said: str) -> None:
    found = validate(written(tmp_path, table, name))
    assert not found.ok
    assert said in str(found)
    assert "Traceback" not in str(found)


def test_a_table_that_is_missing_or_not_used_or_no_text_is_said(tmp_path: Path) -> None:
    path = written(tmp_path, CSV)
    (tmp_path / "cases.csv").unlink()
    assert "cases.csv cannot be read" in str(validate(path))
    (tmp_path / "cases.csv").write_bytes(b"id,order,who\n\xff,1,2\n")
    assert "is not UTF-8 text" in str(validate(path))
    (tmp_path / "cases.csv").write_text(CSV)
    path.write_text(SUITE.replace("CASES", "cases.csv").replace("{{row.", "{{"))
    assert "all cases would be the same" in str(validate(path))
    path.write_text(SUITE.replace("CASES", "[1]"))
    assert "expected the path of a CSV, JSON or JSONL file" in str(validate(path))


def test_a_table_that_would_make_too_much_is_refused(tmp_path: Path) -> None:
    rows = "id,order,who\n" + "".join(f"{number},1,x\n" for number in range(20_000))
    long = SUITE.replace("wants money back", "wants money back" * 2_000)
    with pytest.raises(SuiteError, match="more than 100 MB"):
        load(written(tmp_path, rows, suite=long))


def test_python_makes_scenarios_of_rows_itself() -> None:
    with pytest.raises(ValueError, match="in Python, make a scenario for each row"):
        Scenario(name="refund", cases="cases.csv", description="x")


def test_a_table_without_an_end_is_refused_at_once(tmp_path: Path) -> None:
    path = written(tmp_path, CSV)
    (tmp_path / "cases.csv").unlink()
    (tmp_path / "cases.csv").symlink_to("/dev/zero")
    assert "no ordinary file" in str(validate(path))


def test_long_values_that_are_used_often_do_not_fill_the_memory(tmp_path: Path) -> None:
    suite = SUITE.replace("wants money back", "{{row.who}}" * 200)
    path = written(tmp_path, json.dumps({"order": "1", "who": "x" * 1_000_000}), "cases.jsonl", suite)
    assert "more than 100 MB" in str(validate(path))
