"""Fetching weights with the hub's own client, from a hub on loopback."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("huggingface_hub", reason="the extra 'hub' is not installed")

from duologue.errors import ConfigurationError, MissingExtraError, ModelUnavailableError, UnknownModelError
from duologue.models.local import _weights
from duologue.models.local._hub import look_up, pull
from duologue.models.local._weights import KnownModel, WeightsSource, find, prepare

_SPEC = importlib.util.spec_from_file_location("fake_hub", Path(__file__).parents[2] / "fakes" / "hub.py")
assert _SPEC
assert _SPEC.loader
fakes = importlib.util.module_from_spec(_SPEC)
sys.modules["fake_hub"] = fakes
_SPEC.loader.exec_module(fakes)

BYTES = b"GGUF" + bytes(range(256)) * 2000


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    for name in ("HF_TOKEN", "HF_HUB_OFFLINE"):
        monkeypatch.delenv(name, raising=False)
    with fakes.running_hub() as running:
        running.files["Acme/Tiny-GGUF"] = {"tiny-q4_k_m.gguf": BYTES, "tiny-q8_0.gguf": BYTES * 2, "README.md": b"hi"}
        monkeypatch.setenv("HF_ENDPOINT", running.url)
        yield running


def test_a_repository_is_pulled_and_then_found_under_the_same_name(hub: Any) -> None:
    told: list[tuple[int, int | None]] = []
    pulled = pull("Acme/Tiny-GGUF", progress=lambda done, total: told.append((done, total)))
    assert pulled.path.read_bytes() == BYTES
    assert told[-1] == (len(BYTES), len(BYTES))
    found = find("local:Acme/Tiny-GGUF")
    assert (found.path, found.source) == (pulled.path, WeightsSource.HUB)
    assert prepare(pulled).digest == hub.sha256("Acme/Tiny-GGUF", "tiny-q4_k_m.gguf")


def test_what_is_there_is_not_fetched_again(hub: Any) -> None:
    pull("Acme/Tiny-GGUF")
    hub.requests.clear()
    pull("Acme/Tiny-GGUF")
    assert not [line for line in hub.requests if line.startswith("GET") and "/resolve/" in line]


def test_looking_up_says_what_would_be_fetched_and_fetches_nothing(hub: Any) -> None:
    file = look_up("Acme/Tiny-GGUF/tiny-q8_0.gguf")
    assert (file.repository, file.file, file.size) == ("Acme/Tiny-GGUF", "tiny-q8_0.gguf", 2 * len(BYTES))
    assert file.revision == fakes.COMMIT
    assert file.sha256 == hub.sha256("Acme/Tiny-GGUF", "tiny-q8_0.gguf")
    assert not [line for line in hub.requests if "/resolve/" in line]


def test_bytes_with_another_digest_than_the_hub_said_are_refused_and_deleted(hub: Any) -> None:
    hub.said_sha256["tiny-q4_k_m.gguf"] = "0" * 64
    with pytest.raises(ConfigurationError, match="expected 0000"):
        pull("Acme/Tiny-GGUF")
    with pytest.raises(ConfigurationError, match="not in the Hugging Face cache"):
        find("Acme/Tiny-GGUF")


def test_a_known_model_must_have_the_digest_that_is_pinned_whatever_the_hub_says(
    hub: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = KnownModel(
        name="tiny", size=len(BYTES), sha256="1" * 64, repository="Acme/Tiny-GGUF", file="tiny-q4_k_m.gguf"
    )
    monkeypatch.setitem(_weights.CATALOGUE, "tiny", known)
    with pytest.raises(ConfigurationError, match="expected 1111"):
        pull("tiny")


def test_something_that_is_no_gguf_is_refused_and_deleted(hub: Any) -> None:
    hub.files["Acme/Tiny-GGUF"]["tiny-q4_k_m.gguf"] = b"<html>log in first</html>"
    with pytest.raises(ConfigurationError, match="not a GGUF file"):
        pull("Acme/Tiny-GGUF")
    with pytest.raises(ConfigurationError, match="not in the Hugging Face cache"):
        find("Acme/Tiny-GGUF")


def test_a_repository_or_file_that_is_not_there_is_an_unknown_model(hub: Any) -> None:
    with pytest.raises(UnknownModelError, match="has no model 'Acme/Nothing'"):
        pull("Acme/Nothing")
    with pytest.raises(UnknownModelError, match=r"has no file 'x.gguf'. It has: tiny-q4_k_m.gguf, tiny-q8_0.gguf"):
        pull("Acme/Tiny-GGUF/x.gguf")


def test_files_that_cannot_be_told_apart_must_be_named(hub: Any) -> None:
    hub.files["Acme/Many"] = {"a-q5_0.gguf": BYTES, "b-q5_0.gguf": BYTES}
    with pytest.raises(ConfigurationError, match=r"several models: a-q5_0.gguf, b-q5_0.gguf"):
        pull("Acme/Many")


def test_a_repository_without_gguf_files_says_so(hub: Any) -> None:
    hub.files["Acme/Text"] = {"README.md": b"hi"}
    with pytest.raises(UnknownModelError, match="has no GGUF file"):
        pull("Acme/Text")


def test_a_name_that_is_no_repository_reaches_no_hub(hub: Any) -> None:
    with pytest.raises(UnknownModelError, match="owner/repository"):
        pull("nonsense")
    with pytest.raises(UnknownModelError):
        pull("bad name/with spaces!")
    assert hub.requests == []


def test_a_hub_that_cannot_be_reached_is_unavailable(monkeypatch: pytest.MonkeyPatch) -> None:
    with fakes.running_hub() as gone:
        monkeypatch.setenv("HF_ENDPOINT", gone.url)
    with pytest.raises(ModelUnavailableError, match=r"could not be fetched from the hub at http://127\.0\.0\.1"):
        pull("Acme/Tiny-GGUF")


def test_without_the_client_the_extra_is_named(hub: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"duologue\[hub\]"):
        pull("Acme/Tiny-GGUF")
