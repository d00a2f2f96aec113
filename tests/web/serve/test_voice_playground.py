"""Speaking with an agent in the playground: a real browser with a microphone, and a real agent behind a WebSocket."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest

pytest.importorskip("playwright.sync_api")
from playwright.sync_api import expect
from served_pages import project_of, serve_process
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
    assert page.locator("label[for=agent]").evaluate("label => getComputedStyle(label).position") == "static"
    page.keyboard.press("c")
    messages = page.locator(".talk .message")
    expect(messages.nth(0)).to_contain_text(UNDERSTOOD)
    expect(messages.nth(1)).to_contain_text("one two")
    expect(messages.nth(1)).to_contain_text("cut off")
    expect(messages.filter(has_text="fine").first).to_be_visible()
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
    assert page.locator(".message .play-from").count() >= 3
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


def test_write_to_a_saved_agent_and_watch_one(project, open_page, agent, peers):
    project.make("/connectors", name="desk", type="http", base_url=peers.url)
    http = {"url": peers.url, "preset": "message", "body": {"messages": "{{messages}}"}}
    made = project.make("/agents", name="shop", agent={"name": "shop", "http": http})
    project.make(f"/agents/{made['id']}/publish")
    speaker = saved(project, f"{agent.url}/talk", name="speaker")
    project.make(
        "/scenarios", name="refund", description="Wants money.", criteria=["The agent promises 30 days"], max_turns=2
    )
    page = open_page(f"{project.pages}/playground")
    page.get_by_label("Agent", exact=True).select_option(f"agent:{made['id']}")
    expect(page.get_by_role("link", name="Talk yourself")).to_have_attribute("href", re.compile(made["id"]))
    field = page.get_by_role("textbox", name="Your message")
    field.fill("Can I have my money back?")
    field.press("Enter")
    expect(page.locator(".messages .message").last).to_contain_text("You have 30 days")
    page.get_by_role("link", name="Watch a simulated user").click()
    page.get_by_role("button", name="Leave without saving").click()
    page.get_by_role("button", name="Start", exact=True).click()
    expect(page.get_by_role("heading", name="refund · shop")).to_be_visible()
    page.goto(f"{project.pages}/playground?agent={speaker}&who=you")
    expect(page.get_by_role("link", name="Speak with it")).to_have_attribute("aria-current", "true")


def test_the_service_is_killed_in_a_call(tmp_path, peers, agent, open_page):
    with serve_process(tmp_path / "store") as served, project_of(served, peers, "shop") as project:
        saved(project, f"{agent.url}/talk")
        page = open_page(f"{project.pages}/playground", permissions=["microphone"], refused=True)
        page.get_by_role("button", name="Call").click()
        expect(page.locator(".talk .message").first).to_be_visible()
        served.kill()
        expect(page.get_by_text("The connection to the service is lost, and the call with it.")).to_be_visible()
        expect(page.get_by_role("button", name="Call again")).to_be_enabled()
        expect(page.locator(".heard .player")).to_be_visible()
        wait_until(lambda: agent.open == 0)
        served.start()
        page.get_by_role("button", name="Call again").click()
        expect(page.get_by_text("You are connected. Speak.")).to_be_visible()
        page.get_by_role("link", name="Executions").click()  # who leaves the page hangs up
        page.get_by_role("button", name="Leave without saving").click()
        wait_until(lambda: agent.open == 0)
