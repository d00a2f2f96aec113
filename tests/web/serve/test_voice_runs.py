"""A conversation in voice that a worker has held, in the browser: to listen to, by mouse and by keyboard."""

from __future__ import annotations

import re
from typing import Any

import httpx
import pytest

pytest.importorskip("playwright.sync_api")
from playwright.sync_api import expect
from served_pages import NUMBERS, project_of

pytestmark = pytest.mark.xdist_group("browser")

ANSWER = "Your parcel is on its way to the harbour office, where you can fetch it from nine o'clock on Friday."
MOCK = {
    "agent": {"name": "mock", "model": "m", "prompt": "p"},
    "models": [{"name": "m", "provider": "mock", "model": "x", "options": {"response_text": ANSWER}}],
    "prompts": [{"name": "p", "system_template": "You help."}],
}
TURNS = [
    {"role": "user", "content": "Where is my parcel?"},
    {"role": "user", "content": "No, wait, the other one.", "interrupts_after": 3},
]
CHECK = {"type": "contains", "params": {"patterns": ["Friday"]}}


@pytest.fixture
def run(project: Any) -> dict[str, Any]:
    """A run in voice, on simulated time, with an interruption."""
    agent = project.make("/agents", **MOCK)["id"]
    project.make(f"/agents/{agent}/publish")
    voice = {"voice": "mock/hum"}
    scenario = project.make("/scenarios", name="parcel", description="Asks.", turns=TURNS, voice=voice, checks=[CHECK])[
        "id"
    ]
    number = project.run(project.make("/evals", name="calls", scenario_ids=[scenario], agent_id=agent)["id"])
    [found] = project.get("/runs", execution_id=number)["data"]
    assert found["status"] == "completed", project.get(f"/runs/{found['id']}")
    return {"execution": number, "id": found["id"]}


def test_listen_to_a_run_by_mouse_and_by_keyboard(project, open_page, axe, run):
    page = open_page(f"{project.pages}/executions/{run['execution']}/run/{run['id']}")
    player = page.locator(".heard .player")
    expect(player).to_be_visible()
    wave = page.get_by_role("slider", name="Position in the recording")
    for who in ("user", "agent"):  # both tracks are drawn from the recording
        expect(wave.locator(f"path.{who}").first).to_have_attribute("d", re.compile("^M"))
    expect(page.locator(".happened")).to_contain_text("The user interrupts")

    page.get_by_role("button", name="Play", exact=True).click()
    expect(page.locator(".message.playing")).to_have_count(1)
    expect(page.locator(".caption")).to_contain_text("parcel")
    page.get_by_role("button", name="Pause").click()
    page.get_by_role("button", name="Mute user").click()
    expect(page.get_by_role("button", name="Mute user")).to_have_attribute("aria-pressed", "true")
    page.locator(".happened button").first.click()
    expect(wave).not_to_have_attribute("aria-valuenow", "0.0")

    page.reload()
    page.get_by_role("button", name="Play", exact=True).focus()
    page.keyboard.press("Space")
    expect(page.get_by_role("button", name="Pause")).to_be_focused()
    page.keyboard.press("Space")
    wave.focus()
    page.keyboard.press("End")
    expect(wave).to_have_attribute("aria-valuenow", str(wave.get_attribute("aria-valuemax")))
    page.keyboard.press("Home")
    page.keyboard.press("ArrowRight")
    expect(wave).not_to_have_attribute("aria-valuenow", "0.0")
    page.get_by_role("button", name="Mute agent").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Mute agent")).to_have_attribute("aria-pressed", "true")
    axe(page)


def test_recordings_are_served_in_parts_and_to_their_project_only(project, served, peers, open_page, run):
    page = open_page(f"{project.pages}/executions/{run['execution']}/run/{run['id']}")
    address = page.locator(".heard audio").get_attribute("src")
    assert address is not None
    whole = httpx.get(f"{served.url}{address}")
    assert (whole.status_code, whole.content[:4], whole.headers["accept-ranges"]) == (200, b"RIFF", "bytes")
    assert whole.headers["content-type"] == "audio/wav"
    size = len(whole.content)
    for given, status, part in (
        ("bytes=0-99", 206, whole.content[:100]),
        ("bytes=44-", 206, whole.content[44:]),
        ("bytes=-10", 206, whole.content[-10:]),
        (f"bytes={size}-", 416, None),
    ):
        answer = httpx.get(f"{served.url}{address}", headers={"Range": given})
        assert answer.status_code == status, given
        assert part is None or answer.content == part, given
    with project_of(served, peers, f"other-{next(NUMBERS)}") as other:
        elsewhere, _, _ = address.partition("?project=")
        assert httpx.get(f"{served.url}{elsewhere}", params={"project": other.name}).status_code == 404
        assert httpx.get(f"{served.url}{elsewhere}", params={"project": project.name}).status_code == 200
