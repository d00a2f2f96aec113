"""What every store of artifacts has to keep, and what journals do with media."""

from __future__ import annotations

import base64
import json
import os
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

import duologue
from duologue.errors import ArtifactError, JournalError, ResumeError
from duologue.journal import Artifact, FolderArtifacts, JsonlSink, MemoryArtifacts, read_journal
from duologue.journal.artifacts import CHUNK, is_harmless, suffix_of
from duologue.journal.inline_media import entries_of, put_back, take_out
from duologue.messages import media_part
from duologue.models.scope import RunScope
from duologue.runs.store.database.artifacts import ArtifactFolder, FsspecArtifacts
from duologue.testing import ScriptedAgent, ScriptedUserAgent, context

PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)


STORES = {
    "memory": lambda folder: MemoryArtifacts(),
    "folder": FolderArtifacts,
    "folder of a database": ArtifactFolder,
    "fsspec": lambda folder: FsspecArtifacts(f"local://{folder}"),
    "fsspec in memory": lambda folder: FsspecArtifacts(f"memory://{folder}"),
}


@pytest.fixture(params=STORES)
def store(request, tmp_path):
    return STORES[request.param](tmp_path / "a" / "media")


async def pieces(store, artifact):
    return [piece async for piece in store.stream(artifact)]


@pytest.mark.parametrize("data", [b"", b"x", PNG, bytes(range(256)) * 9000])
async def test_what_is_put_is_read_whole_and_in_pieces(store, data):
    kept = await store.put(data, mime_type="image/png")
    assert kept == Artifact(sha256=sha256(data).hexdigest(), size=len(data), mime_type="image/png")
    assert await store.has(kept)
    assert await store.read(kept) == data
    found = await pieces(store, kept)
    assert b"".join(found) == data
    assert all(0 < len(piece) <= CHUNK for piece in found)


async def test_the_same_bytes_are_one_artifact_however_they_come(store):
    async with store.writer(mime_type="audio/wav") as writer:
        for _ in range(3):
            await writer.write(b"abc")
        with pytest.raises(ArtifactError, match="not complete"):
            _ = writer.artifact
    assert writer.artifact == await store.put(b"abcabcabc", mime_type="audio/wav")
    assert await store.read(writer.artifact) == b"abcabcabc"


async def test_a_block_that_raises_keeps_nothing(store, tmp_path):
    async def broken():
        async with store.writer() as writer:
            await writer.write(b"half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        await broken()
    assert not await store.has(Artifact(sha256=sha256(b"half").hexdigest(), size=4))
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


async def test_what_was_never_put_is_an_error(store):
    nowhere = Artifact(sha256="0" * 64, size=3)
    assert not await store.has(nowhere)
    with pytest.raises(ArtifactError, match="0000"):
        await store.read(nowhere)
    with pytest.raises(ArtifactError, match="0000"):
        await pieces(store, nowhere)


@pytest.mark.parametrize(
    "digest", ["", "../../etc/passwd", "A" * 64, "0" * 63, "0" * 65, "/" + "0" * 63, "0" * 64 + "\n"]
)
def test_a_digest_is_no_path(digest):
    with pytest.raises(ArtifactError, match="64 hex digits"):
        Artifact(sha256=digest, size=1)


@pytest.mark.parametrize(
    "mime",
    ["image/svg+xml", "IMAGE/SVG+XML;charset=utf-8", "image/svg", "text/html", "application/xhtml+xml", "text/xml",
     "application/xml", "application/atom+xml", "text/javascript", "multipart/related", "application/x-shockwave-flash",
     "../../x", "image/../../png", "image/png/../../x.svg", "", "nonsense", "message/rfc822", "text/plain"],
)  # fmt: skip
async def test_what_a_browser_could_run_gets_a_name_that_says_nothing(tmp_path, mime):
    store = FolderArtifacts(tmp_path / "media")
    kept = await store.put(b"<svg onload=alert(1)>", mime_type=mime)
    [path] = (tmp_path / "media").iterdir()
    assert path.name == f"{kept.sha256}.bin"
    assert not is_harmless(path.name)
    assert await store.read(kept) == b"<svg onload=alert(1)>"


def test_files_of_usual_types_are_called_what_other_programs_know():
    names = {"image/png": ".png", "audio/mpeg": ".mp3", "audio/wav": ".wav", "Image/JPEG; q=1": ".jpg"}
    assert {mime: suffix_of(mime) for mime in names} == names
    assert is_harmless("media/x.PNG")


async def test_files_are_for_their_owner_only(tmp_path):
    store = FolderArtifacts(tmp_path / "new" / "media")
    kept = await store.put(PNG, mime_type="image/png")
    modes = [path.stat().st_mode & 0o777 for path in (tmp_path / "new", store.folder, store.path_of(kept))]
    assert modes == [0o700, 0o700, 0o600]


@pytest.mark.parametrize("damage", ["gone", "short", "changed", "folder", "link", "pipe"])
async def test_a_file_that_is_not_what_was_kept_is_never_handed_out(tmp_path, damage):
    store = FolderArtifacts(tmp_path / "media")
    kept = await store.put(PNG, mime_type="image/png")
    path = store.path_of(kept)
    path.unlink()
    secret = tmp_path / "secret"
    secret.write_bytes(PNG)
    match damage:
        case "short":
            path.write_bytes(PNG[:-1])
        case "changed":
            path.write_bytes(PNG[:-1] + b"!")
        case "folder":
            path.mkdir()
        case "link":
            path.symlink_to(secret)
        case "pipe":
            os.mkfifo(path)
        case _:
            pass
    with pytest.raises(ArtifactError, match=kept.sha256):
        await store.read(kept)
    with pytest.raises(ArtifactError, match=kept.sha256):
        await pieces(store, kept)


async def test_a_file_that_was_torn_is_written_again(tmp_path):
    store = FolderArtifacts(tmp_path / "media")
    kept = await store.put(PNG)
    store.path_of(kept).write_bytes(b"")
    await store.put(PNG)
    assert await store.read(kept) == PNG


async def test_a_folder_that_cannot_be_written_is_a_clear_error(tmp_path):
    (tmp_path / "media").write_text("in the way")
    with pytest.raises(ArtifactError, match=r"cannot keep image/png data in .*media"):
        await FolderArtifacts(tmp_path / "media").put(PNG, mime_type="image/png")


# --- journals --------------------------------------------------------------------------------------------------------


def of_agent(*parts):
    return ScriptedAgent([[{"role": "assistant", "content": [{"type": "text", "text": "look"}, *parts]}]])


SOUND = media_part("audio/wav", data=b"RIFF" * 30)
PARTS = [
    media_part("image/png", data=PNG),
    SOUND,
    media_part("video/mp4", data=b"film"),
    media_part("application/pdf", data=b"%PDF"),
    {"type": "file", "file": {"filename": "a.svg", "file_data": "data:image/svg+xml;base64,PHN2Zy8+"}},
]


async def play(path, *parts, **options):
    agents = [ScriptedUserAgent([]), of_agent(*parts)]
    script = [duologue.user("show me"), duologue.agent(), duologue.succeed()]
    executor = duologue.ScenarioExecutor(
        "s",
        "d",
        agents,
        script,
        config=duologue.ScenarioConfig(record=path, verbose=False),
        context=context(),
        **options,
    )
    await executor.run()
    return executor


async def test_media_of_messages_are_files_beside_the_journal_and_read_back(tmp_path):
    path = tmp_path / "run.jsonl"
    executor = await play(path, *PARTS)
    for text in (base64.b64encode(PNG), base64.b64encode(b"RIFF" * 30), b"PHN2Zy8+"):
        assert text not in path.read_bytes()
    suffixes = sorted(item.suffix for item in (tmp_path / "media").iterdir())
    assert suffixes == [".bin", ".mp4", ".pdf", ".png", ".wav"]
    file = read_journal(path)
    assert file.view == executor.journal.view
    assert file.entries == executor.journal.entries
    assert not file.missing


async def test_an_artifact_is_kept_before_the_line_that_names_it(tmp_path):
    class Watched(FolderArtifacts):
        async def put(self, data, *, mime_type="x"):
            written = path.read_bytes() if path.exists() else b""
            kept = await super().put(data, mime_type=mime_type)
            assert kept.sha256.encode() not in written
            seen.append(kept)
            return kept

    path, seen = tmp_path / "run.jsonl", []
    await play(path, *PARTS, artifacts=Watched(tmp_path / "elsewhere"))
    named = {
        entry["sha256"] for line in path.read_text().splitlines() for entry in json.loads(line).get("artifacts", [])
    }
    assert named == {item.sha256 for item in seen}
    assert len(named) == 5


async def test_a_store_that_is_full_is_an_error_of_the_run(tmp_path):
    class Full(FolderArtifacts):
        async def put(self, data, *, mime_type="x"):
            raise ArtifactError("no space left on device")

    with pytest.raises(JournalError, match="no space left"):
        await play(tmp_path / "run.jsonl", *PARTS, artifacts=Full(tmp_path))
    assert b"sha256" not in (tmp_path / "run.jsonl").read_bytes()


async def test_a_missing_artifact_costs_its_own_part_only(tmp_path):
    path = tmp_path / "run.jsonl"
    executor = await play(path, *PARTS)
    [picture] = (tmp_path / "media").glob("*.png")
    picture.unlink()
    file = read_journal(path)
    [problem] = file.missing
    assert picture.name in problem
    parts = file.view.messages[1]["content"]
    before = executor.journal.view.messages[1]["content"]
    assert parts[0] == before[0]
    assert parts[1]["image_url"]["url"].startswith("missing artifact sha256:")
    assert parts[2:] == before[2:]


async def test_a_run_whose_media_are_missing_cannot_be_continued(tmp_path):
    path = tmp_path / "run.jsonl"
    await play(path, *PARTS)
    for item in (tmp_path / "media").iterdir():
        item.write_bytes(b"?")
    with pytest.raises(ResumeError, match="damaged"):
        await play(path, *PARTS, resume=True)


async def test_old_journals_with_inline_media_are_read(tmp_path):
    path = tmp_path / "run.jsonl"
    executor = await play(path, *PARTS)
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    for line in lines:
        put_back(
            line["events"],
            entries_of(line.pop("artifacts", [])),
            lambda it: (tmp_path / "media" / it.name).read_bytes(),
        )
    old = tmp_path / "old" / "run.jsonl"
    old.parent.mkdir()
    old.write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert read_journal(old).entries == executor.journal.entries


@pytest.mark.parametrize(
    "table", [None, {}, 1, [1], [{}], [{"place": [0], "before": "", "sha256": "../x", "size": 1, "mime_type": "a/b"}],
              [{"place": [9, "x"], "before": "", "sha256": "0" * 64, "size": 1, "mime_type": "a/b"}],
              [{"place": [], "before": "", "sha256": "0" * 64, "size": 1, "mime_type": "a/b"}],
              [{"place": [0, "type", 3, "x"], "before": None, "sha256": "0" * 64, "size": "1", "mime_type": 3}]]
)  # fmt: skip
async def test_a_table_that_nobody_wrote_names_its_line(tmp_path, table):
    path = tmp_path / "run.jsonl"
    await play(path)
    first, *others = path.read_text().splitlines()
    path.write_text("\n".join([json.dumps({**json.loads(first), "artifacts": table}), *others, ""]))
    with pytest.raises(JournalError, match="line 1, field 'artifacts'"):
        read_journal(path)


async def test_what_an_agent_says_is_never_taken_for_an_artifact(tmp_path):
    said = f"sha256:{sha256(PNG).hexdigest()}"
    forged = {"artifacts": [{"place": [0], "sha256": "0" * 64}], "text": said}
    path = tmp_path / "run.jsonl"
    executor = await play(path, media_part("image/png", url=said), {"type": "data", "data": forged}, PARTS[0])
    assert read_journal(path).entries == executor.journal.entries


TEXTS = st.one_of(
    st.text(max_size=30),
    st.binary(max_size=90).map(lambda data: base64.b64encode(data).decode()),
    st.binary(max_size=90).map(lambda data: "data:image/png;base64," + base64.b64encode(data).decode()),
    st.binary(max_size=30).map(lambda data: "data:;base64," + base64.urlsafe_b64encode(data).decode().rstrip("=")),
)
KEYS = st.sampled_from(["data", "file_data", "url", "format", "mime_type", "input_audio", "x"])
VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), TEXTS),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(KEYS, inner, max_size=3)),
    max_leaves=12,
)


@given(VALUES)
def test_whatever_is_taken_out_is_put_back(value):
    events = [json.loads(json.dumps(value))]
    taken = take_out(events)
    held = {item.artifact: item.data for item in taken}
    entries = entries_of(json.loads(json.dumps([item.as_data() for item in taken])))
    assert not put_back(events, entries, held.__getitem__)
    assert events == [value]


async def test_participants_have_the_store_of_their_run(tmp_path):
    class Records(duologue.AgentAdapter):
        async def call(self, input):
            self.kept = await input.scope.artifacts.put(b"hello", mime_type="audio/wav")
            return "done"

    agent = Records()
    script = [duologue.user("hi"), duologue.agent(), duologue.succeed()]
    config = duologue.ScenarioConfig(record=tmp_path / "run.jsonl", verbose=False)
    await duologue.ScenarioExecutor(
        "s", "d", [ScriptedUserAgent([]), agent], script, config=config, context=context()
    ).run()
    assert (tmp_path / "media" / agent.kept.name).read_bytes() == b"hello"
    await duologue.ScenarioExecutor("s", "d", [ScriptedUserAgent([]), agent], script, context=context()).run()
    scope = RunScope()
    assert await scope.artifacts.read(await scope.artifacts.put(b"alone")) == b"alone"


async def test_a_sink_finds_its_store_by_itself(tmp_path):
    executor = await play(None, *PARTS, sinks=[JsonlSink(tmp_path / "x" / "run.jsonl")])
    assert read_journal(tmp_path / "x" / "run.jsonl").entries == executor.journal.entries
