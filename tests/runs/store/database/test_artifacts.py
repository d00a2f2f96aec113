"""Bytes of stored runs: where they are kept, and that only what nothing names is removed."""

from __future__ import annotations

import builtins
import os
import re
from pathlib import Path

import pytest
from sqlalchemy import delete, insert
from stored_runs import claimed, project_in

from duologue.errors import ArtifactError, ConfigurationError, MissingExtraError
from duologue.runs.store.database.address import DatabaseAddress, address_of
from duologue.runs.store.database.artifacts import (
    FILES,
    GRACE,
    ArtifactFolder,
    FsspecArtifacts,
    Removed,
    artifacts_of,
    keep_media,
    remove_unused,
)
from duologue.runs.store.database.journals import artifact_row
from duologue.runs.store.database.schema import executions, runs

LATER = 4e9
"""Seconds since 1970: all that is stored now is old then."""


@pytest.fixture(params=["folder", "fsspec"])
def store(request, tmp_path):
    folder = tmp_path / "artifacts"
    return ArtifactFolder(folder) if request.param == "folder" else FsspecArtifacts(f"local://{folder}")


@pytest.mark.parametrize(
    ("where", "environment", "folder"),
    [
        (None, {}, "DB/artifacts"),
        (None, {"DUOLOGUE_ARTIFACTS": "/shared/media"}, "/shared/media"),
        (None, {"DUOLOGUE_ARTIFACTS": ""}, "DB/artifacts"),
        (Path("/shared/media").as_uri(), {"DUOLOGUE_ARTIFACTS": "/other"}, "/shared/media"),
        (Path("/shared/media"), {}, "/shared/media"),
    ],
)
def test_a_folder_beside_the_database_unless_somebody_says_otherwise(tmp_path, where, environment, folder):
    found = artifacts_of(address_of(tmp_path / "runs.db"), where, environment)
    assert str(found.folder) == folder.replace("DB", str(tmp_path))


def test_postgresql_has_them_in_the_folder_of_the_project(tmp_path, monkeypatch):
    (tmp_path / "pyproject.toml").touch()
    (tmp_path / "inner").mkdir()
    monkeypatch.chdir(tmp_path / "inner")
    found = artifacts_of(DatabaseAddress(url="postgresql://localhost/runs"), None, {})
    assert found.folder == tmp_path / ".duologue" / "artifacts"


def test_a_url_that_fsspec_does_not_know_is_an_error_without_secrets(tmp_path):
    with pytest.raises(ConfigurationError, match="gopher://host/place cannot be used") as raised:
        artifacts_of(address_of(tmp_path), "gopher://me:hunter2@host/place?token=hunter2")
    assert "hunter2" not in str(raised.value)


def test_a_file_system_whose_package_is_missing_says_which(tmp_path):
    with pytest.raises(ConfigurationError, match=r"s3://bucket/runs cannot be used: .*s3fs"):
        artifacts_of(address_of(tmp_path), "s3://bucket/runs")


def test_without_fsspec_the_error_says_what_to_install(tmp_path, monkeypatch):
    real = builtins.__import__

    def without(name, *rest):
        if name.partition(".")[0] == "fsspec":
            raise ImportError(name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(MissingExtraError, match=r"fsspec.*duologue\[artifacts\]"):
        artifacts_of(address_of(tmp_path), "s3://bucket/runs")


async def test_only_what_nothing_names_is_removed_and_only_when_it_is_old(database, store):
    [run] = await claimed(database)
    used = await store.put(b"of a run", mime_type="image/png")
    await database.writer.artifacts(run, [artifact_row(used)])
    named = await store.put(b"of an execution")
    unused = await store.put(b"of nobody", mime_type="audio/wav")
    project = await project_in(database)
    files = {"launch.json": {"sha256": named.sha256, "size": named.size, "mime_type": named.mime_type}}
    values = {"project_id": project, "name": "e", "data": {FILES: files}, "created_at": 0.0}
    await database.write(lambda connection: connection.execute(insert(executions).values(values)))

    assert await remove_unused(database, store) == Removed()
    assert await store.has(unused)
    assert await remove_unused(database, store, now=LATER) == Removed(files=1, size=9)
    assert [await store.has(item) for item in (used, named, unused)] == [True, True, False]
    await database.write(lambda connection: connection.execute(delete(runs)))
    await database.write(lambda connection: connection.execute(delete(executions)))
    assert await store.has(used)  # deleting removes nothing by itself
    assert (await remove_unused(database, store, now=LATER)).files == 2


async def test_what_is_kept_again_is_as_new(database, store, tmp_path):
    kept = await store.put(b"same")
    path = tmp_path / "artifacts" / kept.name
    os.utime(path, (1.0, 1.0))
    await store.put(b"same")
    assert path.stat().st_mtime > GRACE
    assert (await remove_unused(database, store)).files == 0


async def test_files_of_others_and_links_stay(database, tmp_path):
    store = ArtifactFolder(tmp_path / "artifacts")
    kept = await store.put(b"x")
    (store.folder / "notes.txt").write_text("mine")
    (store.folder / f"{'a' * 64}.png").symlink_to(tmp_path / "runs.db")
    (store.folder / f".{'b' * 16}.tmp").write_bytes(b"cut off")
    assert await remove_unused(database, store, now=LATER) == Removed(files=2, size=8)
    assert not await store.has(kept)
    assert len(list(store.folder.iterdir())) == 2


@pytest.mark.parametrize(
    ("name", "removed"),
    [
        ("{run}-0123abcd.wav", 0),  # of an attempt that was killed
        ("nobody-0123abcd.wav", 1),
        (f"{'n' * 80}-0123abcd.wav", 1),
        ("call.wav", 0),  # a file of somebody's
        ("{run}-0123ABCD.wav", 0),
    ],
)
async def test_unfinished_recordings_stay_as_long_as_their_runs(database, tmp_path, name, removed):
    [run] = await claimed(database)
    store = ArtifactFolder(tmp_path / "artifacts")
    store.folder.mkdir()
    (store.folder / name.replace("{run}", re.sub(r"[^\w-]+", "-", run.id)[:80])).write_bytes(b"RIFF")
    assert await remove_unused(database, store) == Removed()
    assert await remove_unused(database, store, now=LATER) == Removed(files=removed, size=4 * removed)
    await database.write(lambda connection: connection.execute(delete(runs)))
    gone = 1 if removed or name == "{run}-0123abcd.wav" else 0
    assert (await remove_unused(database, store, now=LATER)).files == gone - removed


async def test_a_folder_that_was_never_made_holds_nothing(database, store):
    assert await remove_unused(database, store, now=LATER) == Removed()


async def test_a_store_that_cannot_be_read_is_an_error(database, tmp_path):
    (tmp_path / "artifacts").write_text("no folder")
    with pytest.raises(ArtifactError, match="cannot list the artifacts"):
        await remove_unused(database, ArtifactFolder(tmp_path / "artifacts"), now=LATER)


async def test_media_of_a_conversation_are_kept_and_named_as_in_a_results_folder(store, samples, tmp_path):
    from duologue.suites.results.media import with_media_files

    run = next(run for run in samples.hotel().runs if run.media)
    kept, named = await keep_media(run, store)
    assert kept == with_media_files(run, tmp_path / "results")
    for artifact in named:
        assert (tmp_path / "results" / "media" / artifact.name).read_bytes() == await store.read(artifact)
