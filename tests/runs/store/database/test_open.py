"""Where a database is, what is refused, and what is said then."""

from __future__ import annotations

import asyncio
import os
import shutil
import sqlite3
import stat
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest

from duologue.errors import ConfigurationError, StoreError, StoreUnavailableError, StoreVersionError
from duologue.runs.store.database.address import address_of
from duologue.runs.store.database.artifacts import ArtifactFolder, artifacts_of
from duologue.runs.store.database.engine import Database

POSTGRES = "postgresql://user:pa%2Fssw0rd9@db.example.org:5433/runs"


@pytest.mark.parametrize(
    ("written", "path"),
    [
        ("{tmp}", "{tmp}/duologue.db"),
        ("{tmp}/new", "{tmp}/new/duologue.db"),
        ("{tmp}/my.db", "{tmp}/my.db"),
        ("{tmp}/my.sqlite3", "{tmp}/my.sqlite3"),
        ("sqlite:///{tmp}/x.db", "{tmp}/x.db"),
        ("sqlite+aiosqlite:///{tmp}/x.db", "{tmp}/x.db"),
        ("sqlite:////{tmp}/x.db", "{tmp}/x.db"),
        ("${{PLACE}}/y.db", "{tmp}/y.db"),
    ],
)
def test_an_sqlite_database_is_a_folder_a_file_or_a_url(tmp_path: Path, written: str, path: str) -> None:
    tmp = str(tmp_path).lstrip("/") if written.startswith("sqlite") else str(tmp_path)
    where = written.format(tmp=f"/{tmp}" if written.startswith("sqlite:///{") or "aiosqlite" in written else tmp)
    assert str(address_of(where, {"PLACE": str(tmp_path)}).path) == path.format(tmp=tmp_path)


@pytest.mark.parametrize("scheme", ["postgresql", "postgres", "postgresql+asyncpg"])
def test_the_environment_names_the_database_and_no_error_its_password(scheme: str) -> None:
    address = address_of(
        None, {"DUOLOGUE_DATABASE_URL": f"{scheme}://me:pa%2Fssw0rd9@h/runs?sslmode=require&password=x1"}
    )
    assert address.url == "postgresql://me:pa%2Fssw0rd9@h/runs?sslmode=require&password=x1"
    assert str(address) == repr(address) == "postgresql://me:***@h/runs?sslmode=require&password=***"


def test_without_a_name_it_is_in_the_folder_of_the_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "pyproject.toml").touch()
    (tmp_path / "deep").mkdir()
    monkeypatch.chdir(tmp_path / "deep")
    assert address_of(None, {}).path == tmp_path / ".duologue" / "duologue.db"


@pytest.mark.parametrize(
    ("where", "told"),
    [
        ("mysql://me:hidden-9@host/x", r"mysql://me:\*\*\*@host/x: expected postgresql://"),
        ("sqlite://", "expected postgresql"),
        ("postgresql://me@host", "has no name"),
        ("postgresql://me:a#b123456@host/x", "write %23"),
        ("postgresql://me:secret99@host:port/x", "is no URL"),
        ("${NOT_SET}/x", "NOT_SET is not set"),
        ("", "the database is ''; expected the text of a URL, or the path of a folder"),
        (" ", "the database is ' '; expected"),
        (b"runs.db", r"the database is b'runs\.db'; expected"),
        (5, "the database is 5; expected"),
        (True, "the database is True; expected"),
        (object(), r"the database is <object object at 0x\w+>; expected"),
    ],
)
def test_what_names_no_database_is_refused(where: Any, told: str) -> None:
    with pytest.raises(ConfigurationError, match=told) as caught:
        address_of(where, {})
    assert not any(secret in str(caught.value) for secret in ("hidden-9", "b123456", "secret99"))


async def test_a_new_file_and_its_folder_are_private(tmp_path: Path) -> None:
    async with Database.open(tmp_path / "a" / "b") as database:
        assert database.folder == tmp_path / "a" / "b"
        for path in database.folder.iterdir():
            assert stat.S_IMODE(path.stat().st_mode) == 0o600, path
        assert stat.S_IMODE(database.folder.stat().st_mode) == 0o700


async def test_a_file_that_is_no_database_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "notes.db"
    path.write_text("these are notes, and quite a few of them\n" * 100)
    with pytest.raises(StoreError, match=r"notes\.db.*not a database\. The file is no SQLite database"):
        async with Database.open(path):
            pass
    assert path.read_text().startswith("these are notes")


async def test_another_programs_database_gets_no_tables(tmp_path: Path) -> None:
    path = tmp_path / "other.db"
    with sqlite3.connect(path) as other:
        other.execute("CREATE TABLE theirs (x)")
    other.close()
    with pytest.raises(StoreVersionError, match=r"no tables of Duologue\. Make them with: duologue db init"):
        async with Database.open(path):
            pass


async def test_a_missing_file_is_not_made_when_it_must_exist(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="there is no database"):
        async with Database.open(tmp_path / "none.db", create=False):
            pass
    assert not os.listdir(tmp_path)  # noqa: PTH208


async def test_a_folder_in_the_place_of_the_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "duologue.db").mkdir()
    with pytest.raises(StoreError, match="no ordinary file"):
        async with Database.open(tmp_path):
            pass


@pytest.mark.parametrize("made", [True, False], ids=["of a file", "to a file that is yet to be made"])
@pytest.mark.parametrize("written", ["{link}", "sqlite:///{link}"])
async def test_a_link_is_the_file_that_it_leads_to(tmp_path: Path, written: str, made: bool) -> None:
    real, link = tmp_path / "real" / "runs.db", tmp_path / "links" / "other.db"
    link.parent.mkdir()
    link.symlink_to(real)
    if made:
        async with Database.open(real):
            pass
    async with Database.open(written.format(link=link)) as database:
        assert address_of(link) == address_of(real) == database.address
        media = artifacts_of(database.address, environment={})
        assert isinstance(media, ArtifactFolder)
        assert media.folder == real.parent / "artifacts"
    assert [item.name for item in link.parent.iterdir()] == ["other.db"]


async def test_a_file_with_several_names_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "runs.db"
    async with Database.open(path):
        pass
    (tmp_path / "other.db").hardlink_to(path)
    for one in (path, tmp_path / "other.db"):
        with pytest.raises(StoreError, match=r"one of 2 names of the same file \(hard links\).*copy it"):
            async with Database.open(one):
                pass


async def test_an_empty_postgresql_database_gets_tables_only_when_asked(where: str) -> None:
    if not where.startswith("postgresql"):
        pytest.skip("of PostgreSQL")
    with pytest.raises(StoreVersionError, match="duologue db init"):
        async with Database.open(where):
            pass


async def test_a_server_that_is_not_there_is_an_error_soon(unused_tcp_port: int) -> None:
    url = f"postgresql://me:geheim123@127.0.0.1:{unused_tcp_port}/x"
    with pytest.raises(
        StoreUnavailableError, match=r"me:\*\*\*@127\.0\.0\.1:\d+/x: opening it: .*Connect call failed"
    ) as caught:
        async with Database.open(url, patience=0.2):
            pass
    assert "geheim123" not in str(caught.value)


async def test_two_that_begin_at_once_make_the_tables_once(where: str) -> None:
    async def once() -> None:
        async with Database.open(where, create=True):
            pass

    await asyncio.gather(*(once() for _ in range(4)))


def _alone(script: str, size: str = "4m") -> subprocess.CompletedProcess[str]:
    """A script in a process that has a small file system of its own, at ``/mnt``."""
    alone = ["unshare", "--user", "--map-root-user", "--mount"]
    mounted = [*alone, "sh", "-c", f'mount -t tmpfs -o size={size} none /mnt && exec "$@"', "sh"]
    if not shutil.which("unshare") or subprocess.run([*mounted, "true"], check=False, capture_output=True).returncode:
        pytest.skip("needs a file system of its own to fill: unshare with user namespaces")
    body = textwrap.dedent(script)
    return subprocess.run(
        [*mounted, sys.executable, "-c", _PREAMBLE + body],
        check=False,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )


_PREAMBLE = """
import asyncio, os, subprocess
from pathlib import Path
from duologue.errors import *
from duologue.runs.store.database.engine import Database
from duologue.runs.store.database.rows import count_runs, get_run
from duologue.runs.store.records import *
from duologue.suites.plan.build import TestCase
from duologue.runs.store.database.schema import projects

def add_project(connection):
    connection.execute(projects.insert().values(id="p", name="p", settings={}, created_at=0, updated_at=0))

def new(count):
    return [NewRun(id=f"r{n}", snapshot="s", case=TestCase(index=n, scenario=f"s{n}")) for n in range(count)]
"""


def test_a_full_disk_is_a_clear_error_and_nothing_is_lost() -> None:
    done = _alone(
        """
        async def main():
            async with Database.open("/mnt/store") as database:
                await database.write(add_project)
                await database.queue.enqueue("p", new(40), snapshots=[Snapshot(digest="s", data=b"{}")])
                runs = await database.queue.claim("w", 40)
                kept = []
                for run in runs:
                    try:
                        await database.writer.append(run, 1, [(0, os.urandom(300_000))])
                        kept.append(run)
                    except StoreError as error:
                        print(error)
                        break
                Path("/mnt/store/more").unlink(missing_ok=True)
            subprocess.run("mount -o remount,size=64m /mnt", shell=True, check=True)
            async with Database.open("/mnt/store") as database:
                assert await count_runs(database) == 40
                await asyncio.gather(*(database.writer.append(run, 1, [(1, b"on")]) for run in runs))
                print(len(kept), "kept")
        asyncio.run(main())
        """
    )
    assert done.returncode == 0, done.stderr
    assert "/mnt/store/duologue.db: recording runs: database or disk is full" in done.stdout
    assert "Free some space; nothing that was recorded is lost" in done.stdout
    assert "kept" in done.stdout


def test_a_folder_that_cannot_be_written_is_a_clear_error() -> None:
    done = _alone(
        """
        async def use(where):
            async with Database.open(where) as database:
                await database.write(add_project)

        asyncio.run(use("/mnt/store"))
        subprocess.run("mount -o remount,ro /mnt", shell=True, check=True)
        for where in ("/mnt/store", "/mnt/other"):
            try:
                asyncio.run(use(where))
            except StoreError as error:
                print(error)
        """
    )
    assert done.returncode == 0, done.stderr
    first, second = done.stdout.splitlines()
    assert first.startswith("/mnt/store/duologue.db: ")
    assert "must be writable for this user, because SQLite keeps a log beside the file" in first
    assert "/mnt/other/duologue.db: the database cannot be made: Read-only file system" in second
