"""Speaking with an agent in the playground: a real browser with a microphone, and a real agent behind a WebSocket."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest

pytest.importorskip("playwright.sync_api")
from playwright.sync_api import expect
from talking_socket import UNDERSTOOD, TalkingSocket, talking_socket
from waiting import wait_until

pytestmark = pytest.mark.xdist_group("browser")


@pytest.fixture(scope="module")
def agent() -> Iterator[TalkingSocket]:
    with talking_socket() as running:
        yield running


def saved(project: Any, url: str, name: str = "desk", **runtime: Any) -> str:
    """A saved agent behind a WebSocket; its id."""
    fields = {"name": name, "runtime": {"kind": "websocket", "url": url, **runtime}}
    return project.make("/agents", name=name, agent=fields)["id"]


def test_speak_hear_cut_in_mute_hang_up_and_listen_again(project, open_page, agent, axe):
    saved(project, f"{agent.url}/stubborn", interruption=True)
    page = open_page(f"{project.pages}/playground", permissions=["microphone"])
    expect(page.get_by_role("link", name="Speak with it")).to_have_attribute("aria-current", "true")
    expect(page.get_by_role("link", name="Talk yourself")).to_have_count(0)
    expect(page.get_by_role("button", name="Call")).to_be_focused()
    page.keyboard.press("c")
    messages = page.locator(".talk .message")
    expect(messages.nth(0)).to_contain_text(UNDERSTOOD)
    expect(messages.nth(1)).to_contain_text("one two")
    expect(messages.nth(1)).to_contain_text("cut off")
    expect(messages.nth(3)).to_contain_text("fine")
    assert agent.loud > 20
    assert any("interrupt" in item for item in agent.orders)

    page.keyboard.press("m")
    expect(page.get_by_role("button", name="Mute")).to_have_attribute("aria-pressed", "true")
    axe(page)
    page.get_by_role("button", name="Hang up").click()
    expect(page.get_by_text("You have hung up.")).to_be_visible()
    wait_until(lambda: agent.open == 0)

    # The recording stays in the page: both tracks, words that follow, the interruption on it.
    player = page.locator(".heard .player")
    expect(player.locator(".wave svg, .wave canvas").first).to_be_visible()
    expect(page.locator(".happened")).to_contain_text("The user interrupts")
    expect(page.locator(".message .play-from")).to_have_count(4)
    page.get_by_role("button", name="Play", exact=True).click()
    expect(page.get_by_role("button", name="Pause")).to_be_visible()
    expect(page.locator(".message.playing")).to_have_count(1)
    page.get_by_role("button", name="Mute agent").click()
    page.get_by_role("button", name="Pause").click()
    axe(page)
    with page.expect_download() as download:
        page.get_by_role("link", name="Download the recording").click()
    assert download.value.suggested_filename == "call-desk.wav"

    page.get_by_role("button", name="Save as a scenario").click()
    expect(page.get_by_role("textbox", name="Content").first).to_have_value(UNDERSTOOD)


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("/refuse", "403 Forbidden"),
        ("/break", "out of order"),
        ("/leave", "The agent has hung up: closing time"),
    ],
)
def test_how_a_call_ends_is_said(project, open_page, agent, path, told):
    saved(project, f"{agent.url}{path}")
    page = open_page(f"{project.pages}/playground", permissions=["microphone"])
    page.get_by_role("button", name="Call").click()
    expect(page.get_by_role("status").filter(has_text=told)).to_be_visible()
    expect(page.get_by_role("button", name=re.compile("Call"))).to_be_enabled()
    wait_until(lambda: agent.open == 0)


def test_without_a_microphone_or_a_secure_page(project, open_page, agent):
    saved(project, f"{agent.url}/talk")
    page = open_page(f"{project.pages}/playground")
    page.get_by_role("button", name="Call").click()
    expect(page.get_by_text("does not let this page use the microphone")).to_be_visible()
    page.add_init_script("Object.defineProperty(window, 'isSecureContext', { value: false })")
    page.reload()
    page.get_by_role("button", name="Call").click()
    expect(page.get_by_text("by https, or on its own machine as localhost")).to_be_visible()
    assert not agent.open
