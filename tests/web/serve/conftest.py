"""``duologue serve`` in a process of its own, and a browser for its pages: one of each for all tests."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from pages import axe  # noqa: F401 -- a fixture
from served_pages import NUMBERS, Project, ServeProcess, project_of, serve_process
from shop_peers import ShopPeers, shop_peers
from sounds import vowels

from duologue.voice.audio import bytes_of, wav_from

PATIENCE = 120_000.0
"""Milliseconds for one step in a browser, on a machine as busy as it may be."""


@pytest.fixture(scope="session")
def peers() -> Iterator[ShopPeers]:
    """The shop's agent and a model."""
    with shop_peers() as running:
        yield running


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServeProcess]:
    """The service."""
    with serve_process(tmp_path_factory.mktemp("serve") / "store") as running:
        yield running


@pytest.fixture
def project(served: ServeProcess, peers: ShopPeers) -> Iterator[Project]:
    """A project of its own for a test."""
    with project_of(served, peers, f"shop-{next(NUMBERS)}") as made:
        yield made


@pytest.fixture(scope="session")
def microphone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the browser's microphone hears, again and again: a second of speech, and more than two of silence.

    So an answer of three seconds is always spoken over, however late it comes.
    """
    path = tmp_path_factory.mktemp("microphone") / "said.wav"
    path.write_bytes(wav_from(bytes(bytes_of(0.5)) + vowels(1.0) + bytes(bytes_of(1.7))))
    return path


@pytest.fixture(scope="module")  # not of the package: without __init__.py that would be all tests that follow
def browser(chromium: str, microphone: Path) -> Iterator[Any]:
    """Debian's chromium. As long as it is open, no other test of this process can have an event loop."""
    sync_api = pytest.importorskip("playwright.sync_api")
    sync_api.expect.set_options(timeout=PATIENCE)
    with sync_api.sync_playwright() as playwright:
        sound = ["--use-fake-device-for-media-stream", f"--use-file-for-fake-audio-capture={microphone}"]
        sound += ["--autoplay-policy=no-user-gesture-required"]
        args = ["--no-sandbox", *sound]
        browser = playwright.chromium.launch(executable_path=chromium, args=args, timeout=PATIENCE)
        yield browser
        browser.close()


@dataclass
class Watched:
    """What went wrong in a page, and is to fail the test."""

    home: str
    away: bool = False
    wrong: list[str] = field(default_factory=list)

    def on_console(self, message: Any) -> None:
        if message.type == "error" and not (self.away and "Failed to load resource" in message.text):
            self.wrong.append(f"console: {message.text}")

    def on_dialog(self, dialog: Any) -> None:
        if dialog.type != "beforeunload":  # which asks about unsaved changes
            self.wrong.append(f"dialog: {dialog.message}")
        dialog.accept()

    def on_request(self, request: Any) -> None:
        if not request.url.startswith((self.home, "data:", "blob:")):
            self.wrong.append(f"asked for {request.url}")


@pytest.fixture
def open_page(browser: Any) -> Iterator[Any]:
    """Opens a page. Errors in it, dialogs and requests to other hosts fail the test; of refused requests, only expected
    ones are none."""
    contexts: list[Any] = []
    watched: list[Watched] = []

    def open_(address: str, *, refused: bool = False, **options: Any) -> Any:
        context = browser.new_context(**{"viewport": {"width": 1280, "height": 900}, **options})
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(PATIENCE)
        home = "/".join(address.split("/")[:3])
        watch = Watched(home, away=refused)
        watched.append(watch)
        page.on("pageerror", lambda error: watch.wrong.append(f"error: {error}"))
        page.on("console", watch.on_console)
        page.on("request", watch.on_request)
        page.on("dialog", watch.on_dialog)
        page.goto(address)
        return page

    yield open_
    for context in contexts:
        context.close()
    assert not [item for watch in watched for item in watch.wrong]
