"""What is in a folder and is not ours stays as it is, whatever command is given that folder, with whatever options."""

from __future__ import annotations

import base64
import json
import shutil
import stat
from pathlib import Path

import pytest

from duologue.cli.app import invoke
from duologue.errors import ConfigurationError
from duologue.models.cassette import Cassette
from duologue.reports.formats import write_reports
from duologue.runs.store.ownership import clear, require_free, require_ours, written_files
from duologue.runs.store.reader import find_execution

PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
SUITE = """
apiVersion: duologue/v1
kind: Suite
metadata: {name: shop}
spec:
  agents: [{name: bot, target: bot.py:answer}]
  scenarios:
    - name: order
      turns: [{content: hello, checks: [{type: contains, params: {patterns: [please]}}]}]
      trials: 2
"""
BOT = f"""
def answer(input):
    picture = {{"type": "image_url", "image_url": {{"url": "data:image/png;base64,{base64.b64encode(PNG).decode()}"}}}}
    return {{"role": "assistant", "content": [{{"type": "text", "text": "please look"}}, picture]}}
"""


def snapshot(folder: Path) -> dict[str, object]:
    """Everything below a folder, links as links."""
    found: dict[str, object] = {}
    for path in sorted(folder.rglob("*")):
        status = path.lstat()
        held = path.readlink() if path.is_symlink() else path.read_bytes() if path.is_file() else None
        found[str(path.relative_to(folder))] = (held, stat.S_IMODE(status.st_mode), status.st_mtime_ns)
    return found


@pytest.fixture
def shop(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return suite_in(tmp_path / "shop")


def suite_in(folder: Path) -> Path:
    folder.mkdir()
    (folder / "suite.yaml").write_text(SUITE)
    (folder / "bot.py").write_text(BOT)
    return folder


@pytest.fixture(scope="module")
def execution(tmp_path_factory):
    folder = tmp_path_factory.mktemp("once")
    assert invoke(["run", str(suite_in(folder / "shop")), "--out", str(folder / "done"), "-q"]) == 0
    return folder / "done"


@pytest.fixture
def done(shop, execution, tmp_path):
    """An execution of ours, of which commands make reports."""
    shutil.copytree(execution, tmp_path / "done")
    return tmp_path / "done"


def write(folder, **files):
    for name, content in files.items():
        path = folder / name.replace("__", "/").replace("_dot_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)


def project(folder):
    write(folder, media__family_dot_png="PNG", media__sub__x_dot_wav="w", runs__notes_dot_json="{}",
          runs__order_dot_json='{"schema_version": 1}', journals__diary_dot_jsonl="{}\n", index_dot_json='{"own": 1}',
          report_dot_html="<html>mine</html>", report_dot_md="# mine", junit_dot_xml="<testsuites name='pytest'/>",
          promptkit__index_dot_json='{"run_ids": ["a"]}')  # fmt: skip
    write(folder, **{"redteam-report_dot_json": '{"a": 1}', "redteam-report_dot_html": "<html>", "suite_dot_json": "{}",
                     "shop__suite_dot_yaml": "mine"})  # fmt: skip


def vscode(folder):
    write(folder, launch_dot_json='{"version": "0.2.0", "configurations": []}', runs__a_dot_json="{}",
          report_dot_html="mine")  # fmt: skip


def alike(folder):
    """Files that are made like ours and are not."""
    case = {"index": 0, "kind": "scenario", "scenario": "a", "agent": "b", "persona": None, "region": "default",
            "trial": 1, "trials": 1, "seed": 1}  # fmt: skip
    line = {"run_id": "a-b-0123456789abcdef", "file": "runs/a-b-0123456789abcdef.json"}
    data = {"schema_version": 1, "id": "x", "suite": "s", "path": "p", "runs": [line],
            "plan": {"suite": "s", "seed": 1, "cases": [case]}}  # fmt: skip
    write(folder, index_dot_json=json.dumps(data), runs__x_dot_json="{}", media__y_dot_png="p", report_dot_md="mine")
    write(folder, **{"runs/a-b-0123456789abcdef_dot_json": "{}"})


def nearly(folder):
    write(folder, launch_dot_json='{"schema_version": 1, "id": "x", "suite": "s", "path": "p", "plan": {"suite": "s", '
          '"seed": 1, "cases": []}}', journals__a_dot_jsonl="", report_dot_html="mine")  # fmt: skip


def broken(folder):
    write(folder, index_dot_json="", launch_dot_json="[]", runs__a_dot_json="", report_dot_html="")


def links(folder):
    elsewhere = folder.parent / "elsewhere"
    write(elsewhere, a_dot_png="a", notes_dot_json="{}", page="<html>")
    for name in ("media", "runs", "journals"):
        (folder / name).symlink_to(elsewhere)
    (folder / "index.json").symlink_to(elsewhere / "notes.json")
    (folder / "report.html").symlink_to(elsewhere / "page")


def folders(folder):
    """Folders where we have files, and the other way round."""
    write(
        folder,
        index_dot_json__x="1",
        launch_dot_json__x="1",
        report_dot_html__x="1",
        runs="1",
        media="1",
        junit_dot_xml__y="",
    )


def nested(folder):
    write(folder, deep__media__a_dot_png="x", deep__index_dot_json="{}", deep__runs__a_dot_json="{}",
          report_dot_html="mine")  # fmt: skip


MADE = [project, vscode, alike, nearly, broken, links, folders, nested]
RUNS = [
    ["run", "shop", "--out", "theirs"],
    ["run", "shop", "--out", "theirs", "--overwrite"],
    ["run", "shop", "--out", "theirs", "--overwrite", "--format", "html,junit,md,json,promptkit", "--ci"],
    ["run", "shop", "--out", "theirs", "--overwrite", "--no-journals", "--json"],
    ["run", "shop", "--resume", "theirs"],
    ["run", "shop", "--failed-in", "theirs"],
    ["run", "shop", "--failed-in", "theirs", "--out", "theirs", "--overwrite"],
]
READS = [
    ["show", "theirs"],
    ["show", "theirs", "--json"],
    ["report", "theirs", "--format", "html,junit,md,json,promptkit"],
    ["mocks", "generate", "theirs"],
    ["mocks", "generate", "theirs", "-o", "theirs/index.json"],
    ["redteam-report", "theirs"],
    ["redteam-report", "theirs", "--out", "theirs"],
    ["validate", "theirs"],
    ["inspect", "theirs"],
    ["plan", "theirs"],
]
WRITES = [
    *(["report", "done", "--out", "theirs", "--format", name] for name in ("html", "junit", "md", "json", "promptkit")),
    ["mocks", "generate", "done", "-o", "theirs/report.html"],
]


def here(command, tmp_path):
    return [str(tmp_path / "shop") if word == "shop" else word for word in command]


@pytest.mark.parametrize("make", MADE)
def test_a_folder_of_somebody_else_is_the_same_after_every_command(make, done, tmp_path, capsys):
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    make(theirs)
    before = snapshot(tmp_path / "theirs"), snapshot(tmp_path / "elsewhere")
    for command in [*RUNS, *READS]:
        code = invoke(here(command, tmp_path))
        assert code != 0 or command not in RUNS, command
        assert (snapshot(theirs), snapshot(tmp_path / "elsewhere")) == before, command
        assert "Traceback" not in capsys.readouterr().err
    for command in WRITES:
        invoke(here(command, tmp_path))
        after = snapshot(theirs)
        assert {name: after.get(name) for name in before[0] if before[0][name][0] is not None} == {
            name: held for name, held in before[0].items() if held[0] is not None
        }, command
        assert snapshot(tmp_path / "elsewhere") == before[1], command
        assert "Traceback" not in capsys.readouterr().err


@pytest.mark.parametrize(
    "command",
    [
        ["init", "theirs"],
        ["init", "theirs", "--template", "suite"],
        ["schema", "--write", "theirs"],
        ["convert", "shop", "theirs"],
        ["redteam-report", "done", "--out", "theirs"],
        ["demo", "--agenda", "--json", "--out", "theirs"],
    ],
)
def test_commands_that_add_files_change_none(command, done, tmp_path, capsys):
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    project(theirs)
    write(theirs, suite_dot_yaml="mine", pizza_agent_dot_py="mine", agent_dot_json="{}")
    before = {name: held for name, held in snapshot(theirs).items() if held[0] is not None}
    invoke(here(command, tmp_path))
    after = snapshot(theirs)
    assert {name: after.get(name) for name in before} == before


def test_what_was_found_and_what_to_do_is_said(shop, tmp_path, capsys):
    project(tmp_path / "theirs")
    assert invoke(["run", str(shop), "--out", "theirs", "--overwrite", "-q"]) == 2
    said = " ".join(capsys.readouterr().err.split())
    assert "theirs is not empty and holds no results of Duologue" in said
    assert "index.json" in said
    assert "Nothing was written or removed. Choose a new or empty folder with --out" in said


def test_overwrite_removes_what_the_execution_wrote_and_nothing_else(done, shop):
    ours = {path for path in done.rglob("*") if path.is_file()}
    assert set(written_files(done)) == ours
    assert len({path.parent.name for path in ours}) == 4
    foreign = [
        "media/family.png",
        f"media/{64 * '0'}.png",
        "runs/notes.json",
        "runs/order-bot-t1-0123456789abcdef.json",
        "journals/diary.jsonl",
        "journals/order-bot-t1-0123456789abcdef.jsonl",
        "notes.txt",
        "media/sub/x.png",
    ]
    for name in foreign:
        (done / name).parent.mkdir(exist_ok=True)
        (done / name).write_text("{}")
    (done / "runs" / "link.json").symlink_to(done / "notes.txt")
    before = {name: (done / name).read_bytes() for name in foreign}
    old = json.loads((done / "index.json").read_text())["id"]
    assert invoke(["run", str(shop), "--out", "done", "--overwrite", "-q"]) == 0
    assert {name: (done / name).read_bytes() for name in foreign} == before
    assert (done / "runs" / "link.json").is_symlink()
    new = json.loads((done / "index.json").read_text())
    assert new["id"] != old
    assert len(list((done / "journals").glob("*.jsonl"))) == 2 + 2


def test_names_that_files_were_set_aside_under_are_ours(done):
    [journal, *_] = sorted((done / "journals").iterdir())
    run = done / "runs" / f"{journal.stem}.json"
    for path in (journal, run):
        for suffix in (".replaced", ".replaced.2", ".unreadable", ".partial", ".attempt-1", ".attempt-2.replaced.3"):
            path.with_name(path.name + suffix).write_bytes(b"")
    journal.with_name(journal.name + ".mine").write_bytes(b"")
    clear(done)
    assert [path.name for path in done.rglob("*") if path.is_file()] == [journal.name + ".mine"]


@pytest.mark.parametrize("name", ["launch.json", "index.json"])
def test_results_with_a_file_of_another_execution_are_refused(done, shop, name, tmp_path):
    invoke(["run", str(shop), "--out", "other", "-q"])
    (done / name).write_bytes((tmp_path / "other" / name).read_bytes())
    before = snapshot(done)
    with pytest.raises(ConfigurationError, match="different executions"):
        clear(done)
    assert snapshot(done) == before


@pytest.mark.parametrize("size", [0, 1, 20, 40, 200])
def test_an_index_that_a_power_failure_has_torn_is_ours(done, size):
    data = (done / "index.json").read_bytes()
    (done / "index.json").write_bytes(data[:size])
    assert require_ours(done)
    clear(done)
    assert not [path for path in done.rglob("*") if path.is_file()]


@pytest.mark.parametrize("name", ["runs", "journals", "media"])
def test_a_link_in_place_of_a_folder_of_ours_is_not_followed(done, name, tmp_path):
    (done / name).rename(tmp_path / "moved")
    (done / name).symlink_to(tmp_path / "moved")
    before = snapshot(done), snapshot(tmp_path / "moved")
    with pytest.raises(ConfigurationError, match="is a link to"):
        clear(done)
    assert (snapshot(done), snapshot(tmp_path / "moved")) == before


@pytest.mark.parametrize("held", [b"\0" * 500, b'{"schema_version":1,', b""])
def test_resuming_keeps_an_index_that_cannot_be_read(done, shop, held):
    (done / "index.json").write_bytes(held)
    assert invoke(["run", str(shop), "--resume", "done", "-q"]) == 0
    assert (done / "index.json.unreadable").read_bytes() == held


def test_resuming_refuses_an_index_of_something_else(done, shop, capsys):
    (done / "index.json").write_text('{"own": 1}')
    before = snapshot(done)
    assert invoke(["run", str(shop), "--resume", "done", "-q"]) == 2
    assert snapshot(done) == before


def test_a_report_of_somebody_else_stops_the_run_before_it_begins(done, shop, capsys):
    (done / "report.html").write_text("<html>mine</html>")
    before = snapshot(done)
    assert invoke(["run", str(shop), "--out", "done", "--overwrite", "--format", "html", "-q"]) == 2
    assert snapshot(done) == before


def test_reports_on_results_that_are_no_more_are_removed(done, shop):
    assert invoke(["report", "done", "--format", "html,junit,md"]) == 0
    (done / "report.md").write_text("# mine")
    assert invoke(["run", str(shop), "--out", "done", "--overwrite", "-q"]) == 0
    assert not (done / "report.html").exists()
    assert not (done / "junit.xml").exists()
    assert (done / "report.md").read_text() == "# mine"


def test_reports_of_ours_are_replaced(done):
    for _ in range(2):
        for command in (["report", "done", "--format", "html,junit,md,json,promptkit"],
                        ["report", "done", "--format", "html,junit,md,json,promptkit", "--out", "made"]):  # fmt: skip
            assert invoke(command) == 0


@pytest.mark.parametrize(
    "make", [lambda path: None, lambda path: path.mkdir(), lambda path: write(path, _dot_gitignore="*")]
)
def test_new_and_empty_folders_are_free(tmp_path, make):
    make(tmp_path / "out")
    require_free(tmp_path / "out")
    require_free(tmp_path / "out", overwrite=True)
    clear(tmp_path / "out") if (tmp_path / "out").exists() else None


def test_a_file_is_no_folder(tmp_path):
    (tmp_path / "out").write_text("")
    with pytest.raises(ConfigurationError, match="it is a file"):
        require_free(tmp_path / "out")


def test_several_suites_are_refused_before_the_first_is_run(shop, tmp_path, capsys):
    second = tmp_path / "shop" / "b"
    second.mkdir()
    (second / "b.suite.yaml").write_text(SUITE)
    (tmp_path / "shop" / "suite.yaml").rename(tmp_path / "shop" / "a.suite.yaml")
    (second / "bot.py").write_text(BOT)
    (tmp_path / "shop" / "c.suite.yaml").write_text(SUITE)
    write(tmp_path / "all" / "c.suite", notes_dot_txt="mine")
    before = snapshot(tmp_path / "all")
    assert invoke(["run", str(shop), "--out", "all", "-q"]) == 2
    assert snapshot(tmp_path / "all") == before


# --- private ---------------------------------------------------------------------------------------------------------


def modes(folder):
    return {stat.S_IMODE(path.lstat().st_mode) for path in [folder, *folder.rglob("*")] if not path.is_dir()}, {
        stat.S_IMODE(path.lstat().st_mode) for path in [folder, *folder.rglob("*")] if path.is_dir()
    }


def test_results_are_for_their_owner_only(done, tmp_path):
    assert invoke(["report", "done", "--format", "html,junit,md,json,promptkit"]) == 0
    assert invoke(["report", "done", "--format", "html,junit,md,json,promptkit", "--out", "new/deep"]) == 0
    assert invoke(["mocks", "generate", "done", "-o", "made/mocks.yaml"]) == 0
    for folder in ("done", "new", "made"):
        assert modes(tmp_path / folder) == ({0o600}, {0o700})


def test_a_folder_that_was_there_keeps_its_permissions(shop, tmp_path):
    (tmp_path / "out").mkdir(mode=0o755)
    (tmp_path / "out").chmod(0o755)
    assert invoke(["run", str(shop), "--out", "out", "-q", "--format", "html"]) == 0
    assert stat.S_IMODE((tmp_path / "out").stat().st_mode) == 0o755
    (tmp_path / "out" / "report.html").chmod(0o644)
    assert invoke(["report", "out", "--format", "html"]) == 0
    assert stat.S_IMODE((tmp_path / "out" / "report.html").stat().st_mode) == 0o644


async def test_cassettes_are_for_their_owner_only(tmp_path):
    async def live():
        return {"a": 1}

    await Cassette(tmp_path / "tapes" / "a.jsonl").play("model", {"q": 1}, live)
    assert modes(tmp_path / "tapes") == ({0o600}, {0o700})


# --- outputs stay in the folder --------------------------------------------------------------------------------------

OUTSIDE = ["../x.html", "../../../x.html", "/etc/x.html", "a/../../x.html", "..", ".", "a/..", "C:\\x.html", "a\\..\\x",
           "index.json", "launch.json", "runs/x.html", "journals/x.html", "media/x.html", "RUNS/x", "a\0b"]  # fmt: skip


@pytest.mark.parametrize("name", OUTSIDE)
def test_a_report_outside_the_folder_is_refused(shop, done, name, tmp_path, capsys):
    (shop / "suite.yaml").write_text(f"{SUITE}  defaults: {{output: {{files: {{html: {json.dumps(name)}}}}}}}\n")
    before = snapshot(tmp_path)
    if "\0" not in name:
        assert invoke(["validate", str(shop)]) == 2
        assert "html" in capsys.readouterr().out
    assert invoke(["run", str(shop), "--out", "new", "-q", "--format", "html"]) == 2
    execution = find_execution(done).execution
    with pytest.raises(ConfigurationError, match="the file name of a report"):
        write_reports(execution, done, ["html"], names={"html": name})
    assert snapshot(tmp_path) == before


def test_a_report_in_a_folder_below_is_fine_and_a_link_out_is_not(done, tmp_path):
    execution = find_execution(done).execution
    [path] = write_reports(execution, done, ["junit"], names={"junit": "reports/ci/junit.xml"})
    assert path == done / "reports" / "ci" / "junit.xml"
    (tmp_path / "elsewhere").mkdir()
    (done / "out").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ConfigurationError, match="through a link"):
        write_reports(execution, done, ["junit"], names={"junit": "out/junit.xml"})
    assert not list((tmp_path / "elsewhere").iterdir())


@pytest.mark.parametrize("ending", ["json", "json.replaced", "json.unreadable.2"])
@pytest.mark.parametrize("before", ["notes-on-", "x", "copy of "])
def test_a_file_whose_name_merely_ends_like_a_runs_stays(done, ending, before):
    run = next(path.stem for path in (done / "runs").glob("*.json"))
    names = {"runs": f"{before}{run}.{ending}", "journals": f"{before}{run}.{ending.replace('json', 'jsonl')}"}
    notes = [done / folder / name for folder, name in names.items()]
    for path in notes:
        path.write_text("mine")
    clear(done)
    assert [path.read_text() for path in notes] == ["mine", "mine"]
