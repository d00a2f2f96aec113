"""Recordings that are packed with gzip."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
from pathlib import Path

import pytest

from duologue.errors import SuiteError
from duologue.transcripts import documents
from duologue.transcripts.packed import PackedError, unpacked
from duologue.transcripts.reader import read_entries

CHAT = {"messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello!"}]}
LINES = "".join(json.dumps({"conversation_id": str(number), **CHAT}) + "\n" for number in range(3)).encode()


@pytest.mark.parametrize(
    ("name", "content", "count"),
    [
        ("calls.jsonl.gz", LINES, 3),
        ("calls.jsonl.GZ", LINES, 3),
        ("calls.gz", LINES, 3),
        ("call.json.gz", json.dumps(CHAT).encode(), 1),
        ("call.json", json.dumps(CHAT).encode(), 1),
        ("call.yaml.gz", b"messages:\n- {role: user, content: Hi}\n- {role: assistant, content: Hello}\n", 1),
    ],
)
def test_a_packed_recording_is_read_like_the_file_in_it(tmp_path: Path, name: str, content: bytes, count: int) -> None:
    (tmp_path / name).write_bytes(gzip.compress(content))
    entries = read_entries(tmp_path / name)
    assert len(entries) == count
    assert all(entry.error is None and entry.messages[0].message["content"] == "Hi" for entry in entries)


def test_several_packed_files_in_one_and_zeros_at_the_end_are_read(tmp_path: Path) -> None:
    first, rest = LINES.split(b"\n", 1)
    content = gzip.compress(first + b"\n") + gzip.compress(rest) + b"\0" * 512
    (tmp_path / "calls.jsonl.gz").write_bytes(content)
    assert [entry.index for entry in read_entries(tmp_path / "calls.jsonl.gz")] == [0, 1, 2]


def test_a_member_may_end_where_a_piece_does() -> None:
    content = b"x" * (3 << 20)
    assert unpacked(gzip.compress(content, mtime=0), 1 << 23) == content


def tar() -> bytes:
    held = io.BytesIO()
    with tarfile.open(fileobj=held, mode="w") as archive:
        info = tarfile.TarInfo("a.json")
        info.size = 2
        archive.addfile(info, io.BytesIO(b"{}"))
    return held.getvalue()


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (gzip.compress(LINES)[:-9], "broken gzip file"),
        (gzip.compress(LINES)[:20] + b"xxxxxxxx", "broken gzip file"),
        (b"\x1f\x8b", "broken gzip file"),
        (gzip.compress(tar()), "a tar archive; unpack it"),
        (gzip.compress(gzip.compress(LINES)), "a gzip file within a gzip file"),
        (gzip.compress(b""), "empty"),
    ],
    ids=["cut off", "damaged", "only the mark", "tar", "twice", "nothing"],
)
def test_what_cannot_be_unpacked_says_why(tmp_path: Path, content: bytes, told: str) -> None:
    (tmp_path / "calls.jsonl.gz").write_bytes(content)
    with pytest.raises(SuiteError, match=told):
        read_entries(tmp_path / "calls.jsonl.gz")


def test_what_is_unpacked_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(PackedError, match="more than 1,000 bytes"):
        unpacked(gzip.compress(b"0" * 50_000_000), 1000)
    monkeypatch.setattr(documents, "MAX_BYTES", 100)
    (tmp_path / "calls.jsonl.gz").write_bytes(gzip.compress(b" " * 10_000))
    with pytest.raises(SuiteError, match="more than 100 bytes"):
        read_entries(tmp_path / "calls.jsonl.gz")
