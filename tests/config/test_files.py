"""A reader sees the old file or the new one, never a part."""

from __future__ import annotations

import os
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from duologue.config.files import OWNER_ONLY, atomic_writer, home_path, keep_copy, read_file, write_atomic
from duologue.errors import ConfigurationError


def test_a_file_is_created_with_its_folders_and_replaced(tmp_path):
    path = tmp_path / "a" / "b" / "x.txt"
    write_atomic(path, "first")
    write_atomic(path, b"second", durable=False)
    assert path.read_text() == "second"
    assert [item.name for item in path.parent.iterdir()] == ["x.txt"]


def test_what_fails_half_way_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "x"
    path.write_text("old")

    def fail() -> None:
        with atomic_writer(path) as file:
            file.write(b"new, and")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert path.read_text() == "old"
    assert [item.name for item in tmp_path.iterdir()] == ["x"]


def test_a_folder_in_the_way_is_an_error_that_leaves_no_draft(tmp_path):
    (tmp_path / "x" / "y").mkdir(parents=True)
    with pytest.raises(OSError, match="x"):
        write_atomic(tmp_path / "x", "text")
    assert [item.name for item in tmp_path.iterdir()] == ["x"]


def test_a_lone_surrogate_is_written_as_an_escape(tmp_path):
    write_atomic(tmp_path / "x", "a\ud800")
    assert (tmp_path / "x").read_text() == "a\\ud800"


@pytest.mark.skipif(os.name != "posix", reason="permissions are those of POSIX")
def test_a_private_file_is_private_from_the_start(tmp_path):
    with atomic_writer(tmp_path / "x", permissions=OWNER_ONLY) as file:
        modes = [stat.S_IMODE(item.stat().st_mode) for item in tmp_path.iterdir()]
        file.write(b"secret")
    assert modes == [OWNER_ONLY]
    assert stat.S_IMODE((tmp_path / "x").stat().st_mode) == OWNER_ONLY


def test_threads_that_write_the_same_file_do_not_disturb_each_other(tmp_path):
    texts = [str(number) * 10_000 for number in range(8)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda text: [write_atomic(tmp_path / "x", text, durable=False) for _ in range(20)], texts))
    assert (tmp_path / "x").read_text() in texts
    assert [item.name for item in tmp_path.iterdir()] == ["x"]


def test_a_folder_in_place_of_a_file_is_set_aside_whole(tmp_path):
    path = tmp_path / "run.json"
    path.mkdir()
    (path / "mine").touch()
    assert keep_copy(path, "unreadable") == tmp_path / "run.json.unreadable"
    write_atomic(path, "new")
    assert (tmp_path / "run.json.unreadable" / "mine").exists()


def _unreadable(folder: Path) -> dict[str, Path]:
    """Files that must not be read, by what they are."""
    os.mkfifo(folder / "pipe")
    folder.joinpath("device").symlink_to("/dev/zero")
    folder.joinpath("loop").symlink_to("loop")
    folder.joinpath("large").write_bytes(b"x" * 11)
    names = ("pipe", "device", "loop", "large", "missing", "nul\0")
    return {"folder": folder} | {name: folder / name for name in names}


@pytest.mark.skipif(os.name == "nt", reason="Windows has no pipes in folders")
@pytest.mark.parametrize("what", ["pipe", "device", "loop", "large", "missing", "nul\0", "folder"])
def test_what_may_have_no_end_or_is_too_large_is_refused_at_once(tmp_path, what):
    with pytest.raises(ConfigurationError, match="read"):
        read_file(_unreadable(tmp_path)[what], 10)


def test_an_ordinary_file_and_a_link_to_one_are_read(tmp_path):
    tmp_path.joinpath("a").write_bytes(b"x" * 10)
    tmp_path.joinpath("b").symlink_to("a")
    assert read_file(tmp_path / "b", 10) == b"x" * 10


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("home/ann/results", "~/results"),
        ("home/ann", "~"),
        ("home/bob/results", "{root}/home/bob/results"),
        ("home/ann2", "{root}/home/ann2"),
    ],
)
def test_a_path_in_the_home_is_written_as_people_do(tmp_path, monkeypatch, path, expected):
    monkeypatch.setenv("HOME", str(tmp_path / "home" / "ann"))
    assert home_path(tmp_path / path) == expected.format(root=tmp_path)
