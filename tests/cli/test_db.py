"""``duologue db`` from an empty folder to a database that is looked after."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from duologue.cli import app
from duologue.cli.exit_codes import ExitCode

POSTGRES = "postgresql://me:hidden-42@127.0.0.1:1/runs"


def duologue(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str]:
    code = app.invoke(["db", *arguments])
    told = capsys.readouterr()
    return code, " ".join((told.out + told.err).split())


def test_a_database_is_made_seen_and_looked_after(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DUOLOGUE_DATABASE_URL", "")  # what the command sets goes with the test
    monkeypatch.delenv("DUOLOGUE_DATABASE_URL")
    (tmp_path / "pyproject.toml").write_text('[tool.duologue]\ndatabase = "data/runs.db"\n')
    path = tmp_path / "data" / "runs.db"

    assert duologue(capsys, "status") == (
        ExitCode.UNCERTAIN,
        f"database: {path} tables: none; make them with: duologue db init",
    )
    assert not path.exists()
    code, told = duologue(capsys, "vacuum")
    assert (code, "there is no database. Make one with: duologue db init" in told) == (ExitCode.UNCERTAIN, True)
    assert duologue(capsys, "init") == (ExitCode.PASSED, f"ready: {path}")
    assert duologue(capsys, "init") == (ExitCode.PASSED, f"ready: {path}")
    assert duologue(capsys, "upgrade") == (ExitCode.PASSED, f"up to date: {path}")
    assert duologue(capsys, "vacuum") == (ExitCode.PASSED, f"{path}: 0.0 MB freed")
    code, told = duologue(capsys, "status", "--json")
    status = json.loads(told)
    assert (status["state"], status["runs"], status["database"]) == ("current", {}, str(path))
    assert duologue(capsys, "status", "--database", str(tmp_path / "other"))[0] == ExitCode.UNCERTAIN


def test_no_password_is_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("duologue.runs.store.database.connections._FIRST_PATIENCE", 0.0)
    for arguments in (["status"], ["init"], ["status", "--json"]):
        code, told = duologue(capsys, *arguments, "--database", POSTGRES)
        assert code == ExitCode.UNCERTAIN
        assert "postgresql://me:***@127.0.0.1:1/runs: opening it: " in told
        assert "hidden-42" not in told
