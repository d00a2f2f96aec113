"""``duologue run --resume``: nothing is lost, nothing is played twice, and whatever is not kept is said."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from openai_server import OpenAIServer, openai_server_beside
from waiting import LONG

from duologue.cli.app import invoke
from duologue.errors import ConfigurationError
from duologue.models.resolve import forget_models
from duologue.runs.store.reader import find_execution, read_execution, unfinished

AGENT = """
import os, signal, time
from pathlib import Path
HERE = Path(__file__).parent

def answer(input):
    said = input.last_new_user_message_str()
    with HERE.joinpath("calls").open("a") as file:
        file.write(said + "\\n")
    if HERE.joinpath("stop").exists():
        for _ in range(2):  # Ctrl-C: no further case begins; once more: this one ends, too
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(0.3)
        time.sleep(1)
    return "yes"
"""
SUITE: dict[str, Any] = {
    "apiVersion": "duologue/v1",
    "kind": "Suite",
    "metadata": {"name": "three"},
    "spec": {
        "agents": [{"name": "bot", "target": "agent.py:answer"}],
        "scenarios": [
            {
                "name": name,
                "turns": [{"content": name}],
                "checks": [{"type": "contains", "params": {"patterns": ["yes"]}}],
            }
            for name in ("one", "two", "three")
        ],
        "defaults": {"seed": 7, "concurrency": 1},
    },
}


class Folder:
    """A suite, and the folder of its results."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.out = path / "out"
        self.suite: dict[str, Any] = json.loads(json.dumps(SUITE))
        (path / "agent.py").write_text(AGENT)

    def run(self, *options: str) -> int:
        (self.path / "suite.yaml").write_text(json.dumps(self.suite))
        return invoke(["run", str(self.path / "suite.yaml"), *options])

    def start(self, *options: str) -> int:
        return self.run("--out", str(self.out), "-q", *options)

    def resume(self, *options: str) -> int:
        return self.run("--resume", str(self.out), *(options or ("-q",)))

    @property
    def scenarios(self) -> list[dict[str, Any]]:
        return self.suite["spec"]["scenarios"]

    @property
    def index(self) -> dict[str, Any]:
        return json.loads((self.out / "index.json").read_text())

    @property
    def calls(self) -> list[str]:
        return (self.path / "calls").read_text().split()

    def file(self, word: str, kind: str = "runs") -> Path:
        [path] = [
            item
            for item in (self.out / kind).iterdir()
            if item.name.startswith(f"{word}-") and item.stem.count(".") == 0
        ]
        return path

    def names(self, kind: str) -> list[str]:
        return sorted(item.name for item in (self.out / kind).iterdir())


@pytest.fixture
def shop(tmp_path: Path) -> Folder:
    return Folder(tmp_path)


def expect(shop: Folder, scenario: int, word: str) -> None:
    shop.scenarios[scenario]["checks"][0]["params"]["patterns"] = [word]


def test_a_result_that_no_longer_holds_stays_until_there_is_a_new_one_and_beside_it(
    shop: Folder, capsys: pytest.CaptureFixture[str]
) -> None:
    assert shop.start() == 0
    before = shop.file("one").read_bytes()
    expect(shop, 0, "no")
    (shop.path / "stop").touch()
    assert shop.resume() == 130
    assert shop.file("one").read_bytes() == before
    assert "played again 1: checks changed (1)" in capsys.readouterr().err
    (shop.path / "stop").unlink()
    assert shop.resume() == 1
    run = shop.file("one").name
    assert (shop.out / "runs" / f"{run}.replaced").read_bytes() == before
    expect(shop, 0, "maybe")
    assert shop.resume() == 1
    assert [name for name in shop.names("runs") if "replaced" in name] == [f"{run}.replaced", f"{run}.replaced.2"]
    journals = [name for name in shop.names("journals") if "replaced" in name]
    assert len(journals) == len(set(journals)) >= 2
    assert shop.index["totals"]["runs"] == 3
    assert [name for name in shop.calls if name != "one"] == ["two", "three"]


def test_show_leaves_out_results_that_are_to_be_replaced(shop: Folder, capsys: pytest.CaptureFixture[str]) -> None:
    assert shop.start() == 0
    expect(shop, 0, "no")
    (shop.path / "stop").touch()
    assert shop.resume() == 130
    assert [run["title"] for run in shop.index["runs"]] == ["two · bot", "three · bot"]
    (shop.out / "index.json").unlink()  # as if it had been killed
    capsys.readouterr()
    assert invoke(["show", str(shop.out)]) == 0
    told = capsys.readouterr()
    assert "left out: 1 results of an earlier definition" in told.err
    assert "✓ one" not in told.out
    assert "✓ two" in told.out


def test_a_renamed_scenario_is_played_under_its_new_name_and_the_old_result_stays(
    shop: Folder, capsys: pytest.CaptureFixture[str]
) -> None:
    assert shop.start() == 0
    old = shop.file("two")
    shop.scenarios[1]["name"] = "second"
    assert shop.resume() == 0
    told = capsys.readouterr().err
    assert "kept 2, played again 0; 1 is new in the suite; 1 is no longer in the suite" in told
    assert shop.calls == ["one", "two", "three", "two"]
    assert old.exists()
    assert [run["title"] for run in shop.index["runs"]] == ["one · bot", "second · bot", "three · bot"]
    shop.scenarios[1]["name"] = "two"
    assert shop.resume() == 0
    assert len(shop.calls) == 4  # it has its result again


def test_scenarios_and_trials_that_were_added_are_planned_and_said(
    shop: Folder, capsys: pytest.CaptureFixture[str]
) -> None:
    assert shop.start() == 0
    shop.scenarios.insert(0, {**shop.scenarios[0], "name": "zero", "turns": [{"content": "zero"}]})
    shop.scenarios[1]["trials"] = 2
    assert shop.resume() == 0
    assert "kept 3, played again 0; 2 are new in the suite\n" in capsys.readouterr().err
    assert sorted(shop.calls) == sorted(["one", "two", "three", "zero", "one"])
    assert [(run.case.index, run.case.title) for run in read_execution(shop.out).runs] == [
        (0, "zero · bot"), (1, "one · bot #1"), (2, "one · bot #2"), (3, "two · bot"), (4, "three · bot"),
    ]  # fmt: skip
    del shop.scenarios[1]["trials"]
    assert shop.resume() == 0
    assert "1 is no longer in the suite" in capsys.readouterr().err
    assert len(shop.calls) == 5


def test_what_was_chosen_when_it_began_is_chosen_when_it_goes_on(shop: Folder) -> None:
    shop.scenarios[0]["tags"] = shop.scenarios[1]["tags"] = ["smoke"]
    assert shop.start("--tag", "smoke", "--trials", "2") == 0
    shop.scenarios.append({**shop.scenarios[0], "name": "four", "turns": [{"content": "four"}]})
    assert shop.resume() == 0
    assert shop.calls == ["one", "one", "two", "two", "four", "four"]


@pytest.mark.parametrize("names", [["a"], ["a", "b", "c"]])
def test_a_suite_that_has_nothing_of_it_left_is_refused(
    shop: Folder, names: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert shop.start() == 0
    before = (shop.out / "index.json").read_bytes()
    shop.suite["spec"]["scenarios"] = [{**shop.scenarios[0], "name": name} for name in names]
    assert shop.resume() == 2
    assert "no longer has any of its 3 runs" in " ".join(capsys.readouterr().err.split())
    assert (shop.out / "index.json").read_bytes() == before
    assert len(shop.calls) == 3


def test_a_filter_that_leads_nowhere_any_more_is_refused(shop: Folder, capsys: pytest.CaptureFixture[str]) -> None:
    assert shop.start("--scenario", "two") == 0
    shop.scenarios[1]["name"] = "second"
    assert shop.resume() == 2
    assert "cannot be resumed: the suite 'three' has no scenario 'two'" in " ".join(capsys.readouterr().err.split())


def test_a_folder_that_does_not_say_how_its_cases_were_chosen_gets_no_new_ones(shop: Folder) -> None:
    assert shop.start() == 0
    launch = json.loads((shop.out / "launch.json").read_text())
    kept = {name: launch[name] for name in ("schema_version", "id", "suite", "path", "plan")}
    (shop.out / "launch.json").write_text(json.dumps(kept))
    shop.file("three").unlink()
    shop.scenarios.append({**shop.scenarios[0], "name": "four"})
    assert shop.resume() == 0
    assert shop.index["totals"]["runs"] == 3


def test_times_and_costs_add_up_over_sessions(shop: Folder) -> None:
    assert shop.start() == 0
    first = shop.index
    assert shop.resume() == 0
    second = shop.index
    assert second["started_at"] == first["started_at"]
    assert second["seconds"] > first["seconds"]
    (shop.out / "index.json").unlink()  # as if the second session had been killed
    assert shop.resume() == 0
    assert shop.index["started_at"] == first["started_at"]
    assert shop.index["seconds"] >= first["seconds"]


NATIVE: dict[str, Any] = {
    "models": [{
        "name": "m", "provider": "openai", "model": "tiny",
        "pricing": {"input_cost_per_1k": 1.0, "output_cost_per_1k": 1.0},
    }],
    "prompts": [{"name": "p", "system_template": "You help."}],
    "agents": [{"name": "bot", "model": "m", "prompt": "p"}],
}  # fmt: skip


@pytest.fixture
def model_server(monkeypatch: pytest.MonkeyPatch) -> Iterator[OpenAIServer]:
    """A model that costs money: it reports 11 tokens read and 7 written."""
    monkeypatch.setenv("OPENAI_API_KEY", "no key")
    with openai_server_beside() as server:
        yield server
    forget_models()


@pytest.mark.parametrize("journals", [[], ["--no-journals"]])
def test_what_replaced_attempts_have_spent_stays_in_the_budget_and_in_the_sum(
    shop: Folder, journals: list[str], model_server: OpenAIServer
) -> None:
    shop.suite["spec"].update(NATIVE)
    shop.suite["spec"]["models"] = [{**NATIVE["models"][0], "base_url": model_server.url}]
    for number in range(3):
        expect(shop, number, "Hello")
    shop.start(*journals)
    first = shop.index["spent"]["total"]
    assert first["cost"] > 0
    for number, scenario in enumerate(shop.scenarios):
        scenario["turns"][0]["content"] += " again"
        expect(shop, number, "Hello")
    shop.resume("-q", *journals)
    second = shop.index["spent"]
    assert second["earlier"]["cost"] == pytest.approx(first["cost"])
    assert second["total"]["cost"] == pytest.approx(first["cost"] + second["agent"]["cost"])
    assert read_execution(shop.out).spent.cost == pytest.approx(second["total"]["cost"])
    for scenario in shop.scenarios:
        scenario["turns"][0]["content"] += " and again"
    shop.suite["spec"]["defaults"]["budget"] = {"money": second["total"]["cost"] * 1.01}
    assert shop.resume("-q", *journals) in {1, 3}
    assert [run["termination"] for run in shop.index["runs"]] == ["budget"] * 3


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("[]", "found a list, expected an object"),
        ("3", "found a int"),
        ("", "cannot be read"),
        ('{"schema_version": 1', "cannot be read"),
        ("\x00\x00", "cannot be read"),
        ("{}", "schema_version None"),
        ('{"schema_version": 9}', "schema_version 9"),
        ('{"schema_version": 1}', "KeyError('id')"),
        ('{"schema_version": 1, "id": 1, "suite": "s", "path": "p", "plan": {}}', "id is no text"),
        ('{"schema_version": 1, "id": "1", "suite": "s", "path": "p", "plan": []}', "cannot be read"),
        ('{"schema_version": 1, "id": "1", "suite": "s", "path": "p", "plan": {"suite": "s", "seed": 1, "cases": [4]}}',
         "cannot be read"),
        ("[" * 100_000, "cannot be read"),
    ],
)  # fmt: skip
def test_a_damaged_launch_file_is_told_with_what_was_found(
    shop: Folder, content: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert shop.start() == 0
    (shop.out / "launch.json").write_text(content)
    assert shop.resume() == 2
    told = " ".join(capsys.readouterr().err.split())
    assert said in told
    assert "Traceback" not in told


@pytest.mark.parametrize("made", ["nothing", "empty", "locks"])
def test_a_folder_that_was_left_before_anything_was_planned(
    shop: Folder, made: str, capsys: pytest.CaptureFixture[str]
) -> None:
    if made != "nothing":
        shop.out.mkdir()
    if made == "locks":
        (shop.out / "journals").mkdir()
    assert shop.resume() == 2
    told = " ".join(capsys.readouterr().err.split())
    assert ("does not exist" if made == "nothing" else f"start it with --out {shop.out} instead") in told
    assert shop.start() == 0


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"schema_version": 1}', "\x00" * 40, '{"a": 1}\n{"a": 2}'])
def test_a_damaged_result_is_read_from_its_journal_again_and_kept_beside(
    shop: Folder, text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert shop.start() == 0
    run = shop.file("two")
    run.write_text(text)
    assert shop.resume() == 0
    assert "1 result could not be read and is run again" in capsys.readouterr().err
    assert json.loads(run.read_text())["outcome"] == "pass"
    assert run.with_name(f"{run.name}.unreadable").read_text() == text
    assert len(shop.calls) == 3  # its journal had come to its end


@pytest.mark.parametrize("kind", ["runs", "journals"])
def test_a_single_run_is_no_execution_to_report_on(shop: Folder, kind: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert shop.start() == 0
    path = shop.file("two", kind)
    assert invoke(["report", str(path)]) == 2
    told = " ".join(capsys.readouterr().err.split())
    assert f"{path} is a single run; name the folder of its execution, {shop.out.resolve()}" in told
    shutil.copy(path, shop.path / "alone.jsonl")
    assert invoke(["report", str(shop.path / "alone.jsonl")]) == 2
    assert "alone.jsonl is a single run; expected the folder of an execution" in " ".join(
        capsys.readouterr().err.split()
    )


def test_a_cut_off_execution_shows_what_was_begun_and_no_case_as_passed_that_lacks_trials(
    shop: Folder, capsys: pytest.CaptureFixture[str]
) -> None:
    shop.scenarios[0]["trials"] = shop.scenarios[1]["trials"] = 2
    assert shop.start() == 0
    (shop.out / "index.json").unlink()
    [second] = [path for path in (shop.out / "runs").iterdir() if path.name.startswith("one-bot-t2")]
    second.unlink()
    journal = shop.out / "journals" / f"{second.stem}.jsonl"
    journal.write_text("".join(journal.read_text().splitlines(keepends=True)[:3]))
    for word in ("two-bot-t1", "two-bot-t2"):
        [path] = [item for item in (shop.out / "runs").iterdir() if item.name.startswith(word)]
        path.unlink()
        (shop.out / "journals" / f"{path.stem}.jsonl").unlink()
    capsys.readouterr()
    assert invoke(["show", str(shop.out)]) == 0
    told = capsys.readouterr().out
    assert "✓ one" not in told
    assert "✓ three" in told
    assert "2 runs not begun" in told
    runs = {run.case.title: run for run in find_execution(shop.out).execution.runs}
    assert [message.message["content"] for message in runs["one · bot #2"].messages] == ["one"]
    assert shop.resume() == 0


def test_progress_of_a_resumed_execution_begins_with_what_is_kept(
    shop: Folder, capsys: pytest.CaptureFixture[str]
) -> None:
    assert shop.start() == 0
    shop.file("three").unlink()
    assert shop.resume("--ci") == 0
    told = capsys.readouterr().err
    assert "[3/3] ✓ three" in told
    assert "[1/3]" not in told


def test_a_folder_that_is_removed_while_the_suite_runs_is_written_again_and_said(
    shop: Folder, capsys: pytest.CaptureFixture[str]
) -> None:
    remove = "    import shutil; shutil.rmtree(HERE / 'out') if said == 'two' else None\n"
    (shop.path / "agent.py").write_text(AGENT.replace("    return", remove + "    return"))
    assert shop.start() == 3
    told = " ".join(capsys.readouterr().err.split())
    assert "was removed, or lost files, while the suite ran. All 3 results were written again" in told
    assert "journals of 2 runs are lost" in told
    assert [run.outcome for run in read_execution(shop.out).runs] == ["pass"] * 3
    assert shop.resume() == 0
    assert shop.calls == ["one", "two", "three"]


def test_a_result_that_is_removed_while_the_suite_runs_is_written_again(shop: Folder) -> None:
    remove = "    [path.unlink() for path in HERE.glob('out/runs/*')] if said == 'three' else None\n"
    (shop.path / "agent.py").write_text(AGENT.replace("    return", remove + "    return"))
    assert shop.start() == 3
    assert [run.outcome for run in read_execution(shop.out).runs] == ["pass"] * 3


DISK = """
import json, os, subprocess, sys
from pathlib import Path
from duologue.cli.app import invoke

suite, disk = Path(sys.argv[1]), Path(sys.argv[2])
said = []
for free in (0, 4, 16, 20, 24, 28, 60):
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=400k", "tmpfs", disk], check=True)
    filler = disk / "filler"
    space = os.statvfs(disk)
    filler.write_bytes(b"x" * (space.f_bavail * space.f_bsize - free * 1024))
    out = disk / "out"
    first = invoke(["run", str(suite), "--out", str(out), "-q", "-j", "4"])
    filler.unlink()
    option = "--resume" if (out / "launch.json").exists() else "--out"
    again = invoke(["run", str(suite), option, str(out), "-q"])
    index = json.loads((out / "index.json").read_text())
    said.append([free, first, again, index["totals"]["runs"], index["totals"]["passed"]])
    subprocess.run(["umount", disk], check=True)
print(json.dumps(said))
"""


def test_a_full_disk_costs_no_case_its_result(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    alone = ["unshare", "--user", "--map-root-user", "--mount"]
    tried = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(disk)]
    if not shutil.which("unshare") or subprocess.run([*alone, *tried], check=False, capture_output=True).returncode:
        pytest.skip("needs a file system of its own to fill: unshare with user namespaces")
    shop = Folder(tmp_path)
    shop.scenarios[0]["trials"] = 12
    (tmp_path / "suite.yaml").write_text(json.dumps(shop.suite))
    done = subprocess.run(
        [*alone, sys.executable, "-c", DISK, str(tmp_path / "suite.yaml"), str(disk)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        timeout=LONG,
        check=True,
    )
    said = json.loads(done.stdout.splitlines()[-1])
    assert [entry[2:] for entry in said] == [[0, 14, 3]] * len(said)
    assert {entry[1] for entry in said} == {3}
    assert "Traceback" not in done.stderr
    assert "No space left on device" in done.stderr


def test_a_run_that_could_not_be_recorded_is_no_result(shop: Folder, capsys: pytest.CaptureFixture[str]) -> None:
    assert shop.start() == 0
    run = shop.file("two")
    for error, played in (("JournalError", 0), ("AgentError", 1)):
        data = json.loads(run.read_text())
        message = "[Errno 24] Too many open files" if error == "AgentError" else "cannot write the journal"
        data |= {"status": "error", "verdict": None, "error": {"type": error, "message": message}}
        run.write_text(json.dumps(data))
        calls = len(shop.calls)
        assert shop.resume() == 0
        assert "1 could not be recorded and is run again" in capsys.readouterr().err
        assert len(shop.calls) - calls == played


def test_an_old_folder_tells_what_it_can(tmp_path: Path) -> None:
    fixture = Path(__file__).parents[1] / "runs/store/fixtures/version-1"
    shutil.copytree(fixture, tmp_path / "old")
    (tmp_path / "old/index.json").unlink()
    found = unfinished(tmp_path / "old")
    assert len(found.known) == 3
    assert found.seconds > 0
    with pytest.raises(ConfigurationError, match="does not exist"):
        unfinished(tmp_path / "none")
