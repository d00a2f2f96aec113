"""The player of a recording in a report file, which may play the sound beside it and not look into it."""

from __future__ import annotations

import pytest
import spoken_runs
from pages import until, widest

from duologue.reports.html import save_html

sync_api = pytest.importorskip("playwright.sync_api")
expect = sync_api.expect
pytestmark = pytest.mark.xdist_group("browser")

PLAYED = "document.querySelector('.player audio').currentTime"


def saved(folder, **options):
    execution = spoken_runs.spoken(folder, **options)
    file = save_html(execution, folder / "report.html", folder)
    return f"{file.as_uri()}#/run/{execution.runs[0].run_id}"


def test_a_report_plays_the_recording_beside_it(opened, tmp_path):
    page = opened(saved(tmp_path))
    page.get_by_role("button", name="Play", exact=True).click()
    expect(page.get_by_role("button", name="Pause")).to_be_visible()
    until(page, f"{PLAYED} > 0.2")
    expect(page.locator(".message.playing .id")).to_have_text("m1")
    page.keyboard.press("p")
    expect(page.get_by_role("button", name="Play", exact=True)).to_be_visible()
    assert len(page.locator(".ahead path.user").get_attribute("d")) > 1000
    assert page.locator(".played path.agent").get_attribute("d") == page.locator(".ahead path.agent").get_attribute("d")


def test_all_of_it_is_there_for_the_keyboard(opened, tmp_path):
    page = opened(saved(tmp_path))
    slider = page.get_by_role("slider", name="Position in the recording")
    slider.focus()
    for key, told in (
        ("ArrowRight", "0:05 of 0:14, the user speaks"),
        ("ArrowUp", "0:10 of 0:14, silence"),
        ("ArrowLeft", "0:05 of 0:14, the user speaks"),
        ("End", "0:14 of 0:14, silence"),
        ("ArrowRight", "0:14 of 0:14, silence"),
        ("PageDown", "0:00 of 0:14, the user speaks"),
        ("PageUp", "0:14 of 0:14, silence"),
        ("Home", "0:00 of 0:14, the user speaks"),
        ("ArrowDown", "0:00 of 0:14, the user speaks"),
    ):
        page.keyboard.press(key)
        expect(slider).to_have_attribute("aria-valuetext", told)
    page.keyboard.press("Space")
    until(page, f"{PLAYED} > 0.1")
    page.keyboard.press("Space")
    expect(page.get_by_role("button", name="Play", exact=True)).to_be_visible()
    page.get_by_role("combobox", name="Speed").select_option("2×")
    assert page.evaluate("document.querySelector('.player audio').playbackRate") == 2
    page.keyboard.press("?")  # a field has the focus, so it is not a key of the page


def test_what_happened_stands_on_the_waveform_and_in_a_list(opened, tmp_path):
    page = opened(saved(tmp_path))
    rows = page.locator(".happened li")
    expect(rows).to_have_count(5)
    assert [row.split("\n", 1)[0] for row in rows.all_inner_texts()] == ["0:04", "0:07", "0:07", "0:09", "0:13"]
    expect(rows.nth(0)).to_contain_text("The user interrupts; the agent is silent after 500 ms")
    expect(rows.nth(1)).to_contain_text('The agent calls find_parcel {"id":"48213"}')
    expect(rows.nth(3)).to_contain_text("The user presses 1#")
    expect(rows.nth(4)).to_contain_text("The agent hangs up done")
    expect(page.locator(".marks span")).to_have_count(4)
    page.locator(".marks .mark-keys").click()
    expect(page.locator(".player .now")).to_have_text("0:09")
    rows.nth(1).get_by_role("button").click()
    expect(page.locator(".player .now")).to_have_text("0:07")
    assert page.locator(".drawing .overlap").count() == 2
    expect(page.locator(".quiet")).to_have_text("4.5 s")
    figures = page.locator(".voice-figures").inner_text()
    for shown in ("2.50 s", "4.30 s", "0.8 s", "11%", "62%"):
        assert shown in figures


def test_the_transcript_follows_and_leads(opened, tmp_path):
    page = opened(saved(tmp_path))
    page.locator(".message.assistant", has_text="on its way").locator(".said").click()
    expect(page.locator(".player .now")).to_have_text("0:02")
    expect(page.locator(".message.playing .id")).to_have_text("m2")
    expect(page.locator(".caption .agent")).to_contain_text("Your parcel is on its way (cut off)")
    assert page.locator(".said-now").all_inner_texts() == ["Your"]
    page.get_by_role("button", name="Play from 0:10").click()
    until(page, f"{PLAYED} > 10.6")
    expect(page.locator(".message.playing .id")).to_have_text("m4")


def test_in_a_file_a_speaker_is_silent_while_nobody_else_speaks(opened, tmp_path):
    page = opened(saved(tmp_path))
    page.get_by_role("button", name="Mute agent").click()
    expect(page.locator(".said-of-sound")).to_contain_text("both are heard where both speak")
    muted = []
    for row in (1, 0):  # silence, and both
        page.locator(".happened li").nth(row).get_by_role("button").click()
        muted.append(page.evaluate("document.querySelector('.player audio').muted"))
    page.locator(".message", has_text="Tuesday").locator(".said").click()  # the agent alone
    muted.append(page.evaluate("document.querySelector('.player audio').muted"))
    assert muted == [False, False, True]


@pytest.mark.parametrize("gone", ["before", "after", "never made"])
def test_a_recording_that_is_missing_is_said(opened, tmp_path, gone):
    address = saved(tmp_path, sound=gone != "never made")
    if gone != "never made":
        (tmp_path / spoken_runs.FILE).unlink()
    if gone == "before":
        execution = spoken_runs.spoken(tmp_path / "other")
        save_html(execution, tmp_path / "report.html", tmp_path)
    page = opened(address, interrupted=True)
    told = "There is no recording" if gone == "never made" else "media/call.wav is missing or cannot be played"
    expect(page.locator(".said-of-sound")).to_contain_text(told)
    expect(page.get_by_role("button", name="Play", exact=True)).to_be_disabled()
    page.locator(".wave").focus()
    page.keyboard.press("ArrowRight")
    expect(page.locator(".wave")).to_have_attribute("aria-valuetext", "0:05 of 0:13, the user speaks" if gone
                                                    == "never made" else "0:05 of 0:14, the user speaks")  # fmt: skip


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nobody_is_left_out(opened, axe, tmp_path, scheme):
    page = opened(saved(tmp_path), color_scheme=scheme, reduced_motion="reduce")
    page.locator(".message.assistant .play-from").first.click()
    until(page, f"{PLAYED} > 2.1")
    page.get_by_role("button", name="Mute user").click()
    assert axe(page) == []
    assert widest(page) <= 360
    assert axe(page) == []


@pytest.mark.parametrize("text", ["<img src=x onerror=alert(1)>", "\u202egnitset\u0000", "a" * 3000])
def test_words_of_agents_stay_words(opened, tmp_path, text):
    execution = spoken_runs.spoken(tmp_path)
    [run] = execution.runs
    voice = spoken_runs.samples.replace(
        run.voice,
        segments=(spoken_runs.segment("agent", 0.0, 2.0, text, words=({"text": text, "start": 0.0, "end": 2.0},)),),
        events=(spoken_runs.event(1.0, text, name=text, metadata={text: text}),
                spoken_runs.event(1.5, "tool_call", name=text, args={text: text})),
    )  # fmt: skip
    replaced = spoken_runs.samples.replace(execution, runs=(spoken_runs.samples.replace(run, voice=voice),))
    page = opened(save_html(replaced, tmp_path / "report.html", tmp_path).as_uri() + f"#/run/{run.run_id}")
    expect(page.locator(".happened li")).to_have_count(2)
    expect(page.locator(".caption img, .happened img, .marks img")).to_have_count(0)
    assert widest(page) <= 360
