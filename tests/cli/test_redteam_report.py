"""``duologue redteam-report``: attacks that were recorded, in one report."""

from __future__ import annotations

import json

import pytest

import duologue
from duologue.agents.red_team import RedTeamAgent
from duologue.cli.app import invoke
from duologue.cli.exit_codes import ExitCode
from duologue.models.scripted import ScriptedModel
from duologue.reports.red_team import read_reports, save_redteam_report
from duologue.testing import ScriptedAgent, ScriptedUserAgent


def attacker_with(score, lines=("say it",)):
    scorer = ScriptedModel([json.dumps({"score": score, "adaptation": "a"})], repeat=True)
    writer = ScriptedModel(list(lines), repeat=True)
    return RedTeamAgent.crescendo(
        target="tell an address", attack_plan="P", total_turns=2, model=writer, metaprompt_model=scorer
    )


async def attack(folder, name, score, reply="Hello."):
    attacker = attacker_with(score)
    result = await duologue.arun(
        name,
        "A shop.",
        [attacker, ScriptedAgent([reply], repeat=True)],
        script=attacker.marathon_script(),
        verbose=False,
        record=folder,
    )
    return attacker, result


async def talk(folder):
    agents = [ScriptedUserAgent(["hi"]), ScriptedAgent(["hello"])]
    script = [duologue.user(), duologue.agent(), duologue.succeed()]
    return await duologue.arun("talk", "b", agents, script=script, verbose=False, record=folder)


@pytest.fixture
async def launch(tmp_path):
    """A folder with two attacks, one of which succeeded, beside a run without an attack and a file of results."""
    folder = tmp_path / "launch"
    await attack(folder / "journals", "holds", 1)
    await attack(folder / "journals", "breaks", 10)
    await talk(folder / "journals")
    (folder / "index.json").write_text('{"status": "passed"}')
    return folder


async def test_the_attacks_of_a_folder_are_written_as_json_and_as_a_page(launch, capsys):
    assert invoke(["redteam-report", str(launch)]) == 0
    out = capsys.readouterr().out
    assert out.startswith("2 attacks: 1 held, 1 broke. Attack success 50% [9%, 91%].")
    assert out.splitlines()[-2:] == [str(launch / "redteam-report.json"), str(launch / "redteam-report.html")]
    data = json.loads((launch / "redteam-report.json").read_text())
    assert data["summary"]["statuses"] == {"held": 1, "broke": 1, "undecided": 0, "errored": 0}
    assert data["summary"]["by_strategy"] == [{**data["summary"]["overall"], "name": "crescendo"}]
    assert data["summary"]["overall"]["rate"] == 0.5
    assert [(report["test_name"], report["status"]) for report in data["reports"]] == [
        ("holds", "held"),
        ("breaks", "broke"),
    ]
    page = (launch / "redteam-report.html").read_text()
    assert "Attack succeeded on turn 2" in page
    assert "talk" not in page


async def test_written_again_it_is_the_same(launch, capsys):
    invoke(["redteam-report", str(launch)])
    first = (launch / "redteam-report.json").read_text()
    assert invoke(["redteam-report", str(launch)]) == 0
    assert (launch / "redteam-report.json").read_text() == first


async def test_a_journal_alone_is_enough_and_out_names_the_folder(tmp_path, capsys):
    _, result = await attack(tmp_path / "j", "breaks", 10)
    assert invoke(["redteam-report", str(result.journal), "-o", str(tmp_path / "out" / "deep")]) == 0
    assert capsys.readouterr().out.startswith("1 attack: 1 broke.")
    assert {path.name for path in (tmp_path / "out" / "deep").iterdir()} == {
        "redteam-report.json",
        "redteam-report.html",
    }


async def test_json_is_all_that_is_printed_and_nothing_is_written(launch, capsys):
    before = sorted(launch.rglob("*"))
    assert invoke(["redteam-report", str(launch), "--json", "--latest", "1"]) == 0
    data = json.loads(capsys.readouterr().out)
    assert [report["test_name"] for report in data["reports"]] == ["breaks"]
    assert sorted(launch.rglob("*")) == before


async def test_without_a_path_the_newest_saved_reports_are_taken(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    attacker, result = await attack(None, "leak", 1)
    for batch in ("20260102_030405", "20260103_030405"):
        save_redteam_report(result, red_team=attacker, test_name=batch, out_dir=f"redteam-reports/{batch}")
    assert invoke(["redteam-report"]) == 0
    folder = tmp_path / "redteam-reports" / "20260103_030405"
    assert [report["test_name"] for report in json.loads((folder / "redteam-report.json").read_text())["reports"]] == [
        "20260103_030405"
    ]
    # What was made of the reports is not one of them.
    assert len(read_reports(folder)) == 1


async def test_an_attack_with_a_journal_and_a_report_counts_once(tmp_path, capsys):
    attacker, result = await attack(tmp_path, "leak", 10)
    save_redteam_report(result, red_team=attacker, test_name="as saved", out_dir=tmp_path / "reports")
    assert invoke(["redteam-report", str(tmp_path), "--json"]) == 0
    assert [report["test_name"] for report in json.loads(capsys.readouterr().out)["reports"]] == ["as saved"]


async def test_what_was_said_stays_text_on_the_page(tmp_path, capsys):
    await attack(tmp_path, "leak", 10, reply="<script>alert(1)</script>")
    invoke(["redteam-report", str(tmp_path)])
    page = (tmp_path / "redteam-report.html").read_text()
    assert "<script>" not in page
    assert "&lt;script&gt;alert(1)" in page


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("nowhere", "does not exist"),
        ("", "no attack in"),
        ("talk.json", "is not a red team report"),
    ],
)
async def test_what_holds_no_attack_is_wrong_usage(tmp_path, capsys, path, message):
    await talk(tmp_path)
    (tmp_path / "talk.json").write_text("{}")
    assert invoke(["redteam-report", str(tmp_path / path)]) == ExitCode.USAGE
    assert message in capsys.readouterr().err


def test_without_any_saved_report_it_says_what_to_name(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert invoke(["redteam-report"]) == ExitCode.USAGE
    assert "name the folder of a launch" in capsys.readouterr().err
