"""The schemas for editors: what the models say, no more and no less."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from duologue.config.problems import Problems, plain
from duologue.config.yaml_reader import parse
from duologue.suites.manifests import format_page, schemas
from duologue.suites.manifests.loader import KINDS, load, validate
from duologue.suites.manifests.writer import as_files, suite_text

CASES = Path(__file__).parents[2] / "cases"
LOADABLE = [path for path in sorted(CASES.glob("*/*/")) if validate(path).ok]
SHOP = (Path(__file__).parent / "shop.suite.yaml").read_text("utf-8")


@cache
def validator(name):
    return Draft202012Validator(json.loads(schemas.packaged(name)))


def read(text):
    return plain(parse(text, "f.yaml", Problems()))


def test_the_schemas_are_what_the_models_say():
    assert schemas.names() == ["manifest", *(kind.lower() for kind in KINDS)]
    stale = [name for name, text in schemas.made().items() if schemas.packaged(name) != text]
    assert not stale, "run: python -m duologue.suites.manifests.schemas"


def test_the_page_of_the_format_is_what_the_models_say(monkeypatch, capsys):
    monkeypatch.chdir(Path(__file__).parents[3])
    assert format_page.main(["--check"]) == 0, capsys.readouterr().out


@pytest.mark.parametrize("name", schemas.names())
def test_a_schema_is_one_and_says_what_every_field_means(name):
    schema = json.loads(schemas.packaged(name))
    Draft202012Validator.check_schema(schema)
    for definition in schema["$defs"].values():
        for field, item in definition.get("properties", {}).items():
            if definition.get("title") not in KINDS:
                assert item.get("description"), f"{name}: {field}"


@pytest.mark.parametrize("case", LOADABLE, ids=lambda path: path.name)
def test_whatever_is_read_fits_the_schemas(case):
    suite = load(case)
    values = [read(text) for text in as_files(suite).values()]
    found = [error.message for value in values for error in validator(value["kind"].lower()).iter_errors(value)]
    found += [error.message for error in validator("manifest").iter_errors(read(suite_text(suite)))]
    assert found == []


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("duologue/v1", "duologue/v2"),
        ("kind: Suite", "kind: suite"),
        ("metadata:\n  name: shop\n", ""),
        ("  name: shop", "  nme: shop"),
        ("model: small\n", "modle: small\n"),
        ("provider: mock", "provider: 5"),
        ("      provider: mock\n", ""),
        ("personas: [anna]", "personas: anna"),
        ("mock_result: {status: sent}", "mode: mocked"),
        ("- role: user\n", "- role: users\n"),
        ("criteria: [says when it comes]", "trials: 0"),
        ("criteria: [says when it comes]", "duplex: {timeout: ten minutes}"),
        ("[order, parcel]", "[]"),
        ("{patterns: [sent]}", "[sent]"),
    ],
)
def test_an_editor_marks_what_the_reader_refuses(right, wrong, tmp_path):
    assert not list(validator("manifest").iter_errors(read(SHOP)))
    text = SHOP.replace(right, wrong, 1)
    for name in ("manifest", "suite"):
        assert list(validator(name).iter_errors(read(text)))
    (tmp_path / "suite.yaml").write_text(text)
    assert not validate(tmp_path / "suite.yaml").ok


def test_a_suite_may_name_files_in_the_place_of_resources():
    text = SHOP.replace("  scenarios:\n", "  scenarios:\n    - parts/*.yaml\n    - file: a.yaml\n")
    assert not list(validator("suite").iter_errors(read(text)))
    assert list(validator("suite").iter_errors(read(text.replace("file: a", "path: a"))))


def test_an_editor_knows_the_types_of_checks():
    [known, _] = json.loads(schemas.packaged("scenario"))["$defs"]["CheckSpec"]["properties"]["type"]["anyOf"]
    assert {"content_includes", "llm_judge", "tools_called"} <= set(known["enum"])


def test_the_command_that_writes_them_says_when_they_are_stale(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(schemas, "files", lambda package: tmp_path)
    assert schemas.main(["--check"]) == 1
    assert "stale: manifest, suite" in capsys.readouterr().out
    assert schemas.main([]) == 0
    assert schemas.main(["--check"]) == 0
    (tmp_path / "schemas" / "tool.json").write_text("{}")
    assert schemas.main(["--check"]) == 1
    assert "stale: tool;" in capsys.readouterr().out.splitlines()[-1]
