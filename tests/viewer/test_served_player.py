"""The player of a recording that a server sends: in pieces, with each speaker by itself."""

from __future__ import annotations

import pytest
import spoken_runs
from pages import until

from duologue.reports.html import save_html
from duologue.runs.store.folder import write_execution

sync_api = pytest.importorskip("playwright.sync_api")
expect = sync_api.expect
pytestmark = pytest.mark.xdist_group("browser")


@pytest.fixture(scope="module")
def spoken(view, tmp_path_factory):
    """The viewer, the address of a run in voice, and the report of the same execution."""
    folder = tmp_path_factory.mktemp("results")
    execution = spoken_runs.spoken(folder / "call")
    write_execution(execution, folder / "call")
    report = save_html(execution, folder / "call" / "report.html", folder / "call")
    viewer = view(folder)
    viewer.listed(1)
    run = execution.runs[0].run_id
    return viewer, f"{viewer.address}/executions/call/run/{run}", f"{report.as_uri()}#/run/{run}"


def test_the_recording_is_sent_in_parts(spoken):
    viewer, _, _ = spoken
    run = viewer.get("runs", id="call", limit=1)["runs"][0]["id"]
    source = viewer.get("run", id="call", run=run)["voice"]["recording"]["src"]
    answer = viewer.client.get(source, headers={"Range": "bytes=100-199"})
    assert (answer.status_code, len(answer.content)) == (206, 100)
    assert answer.headers["content-type"] in {"audio/wav", "audio/x-wav"}
    assert answer.headers["content-range"].startswith("bytes 100-199/")


def test_the_browser_draws_what_the_report_has_in_its_data(opened, spoken):
    _, address, report = spoken
    shapes = []
    for place in (address, report):  # one after the other: a page in the background draws nothing
        page = opened(place)
        page.locator(".player").wait_for()
        until(page, "document.querySelector('.ahead path.user').getAttribute('d')")
        expect(page.locator(".said-of-sound")).to_be_hidden()
        shapes.append([page.locator(f".ahead path.{who}").get_attribute("d") for who in ("user", "agent")])
    assert shapes[0] == shapes[1]
    assert shapes[0][0] != shapes[0][1]


HEARD = """() => {
  const connect = AudioNode.prototype.connect;
  AudioNode.prototype.connect = function (to, ...rest) {
    if (to instanceof AudioDestinationNode) {
      window.heard = this.context.createAnalyser();
      window.heard.fftSize = 2048;
      connect.call(this, window.heard);
    }
    return connect.call(this, to, ...rest);
  };
}"""
LOUD = """(hertz) => {
  if (!window.heard) return -200;
  const bins = new Float32Array(heard.frequencyBinCount);
  heard.getFloatFrequencyData(bins);
  return bins[Math.round((hertz / heard.context.sampleRate) * heard.fftSize)];
}"""


@pytest.mark.parametrize(
    ("name", "kept", "lost"),
    [
        ("Mute user", spoken_runs.AGENT_HERTZ, spoken_runs.USER_HERTZ),
        ("Mute agent", spoken_runs.USER_HERTZ, spoken_runs.AGENT_HERTZ),
    ],
)
def test_a_speaker_can_be_silenced_where_both_speak(opened, spoken, name, kept, lost):
    page = opened(spoken[1])
    page.evaluate(HEARD)
    page.locator(".happened li button").first.click()  # 4.5 s: both speak until 5 s
    page.get_by_role("combobox", name="Speed").select_option("0.5×")
    page.get_by_role("button", name=name).click()
    page.get_by_role("button", name="Play", exact=True).click()
    until(page, f"({LOUD})({kept}) > -60")
    assert page.evaluate(LOUD, lost) < -75
    page.get_by_role("button", name=name).click()


def test_another_page_ends_the_sound(opened, spoken):
    page = opened(spoken[1])
    page.get_by_role("button", name="Play", exact=True).wait_for()
    page.evaluate("window.sound = document.querySelector('.player audio')")
    page.get_by_role("button", name="Play", exact=True).click()
    until(page, "window.sound.currentTime > 0.1")
    page.keyboard.press("o")
    until(page, "window.sound.paused")


# An hour of sound that is made while it is read: no server, no file, and the real reader.
HOUR = """async () => {
  const { readPeaks } = await import("/static/peaks.js");
  const size = 3600 * 24000 * 4;
  const head = new Uint8Array(44);
  const view = new DataView(head.buffer);
  const name = (at, text) => [...text].forEach((letter, index) => (head[at + index] = letter.charCodeAt(0)));
  name(0, "RIFF"); name(8, "WAVE"); name(12, "fmt "); name(36, "data");
  view.setUint32(4, 36 + size, true); view.setUint32(16, 16, true); view.setUint16(20, 1, true);
  view.setUint16(22, 2, true); view.setUint32(24, 24000, true); view.setUint32(28, 96000, true);
  view.setUint16(32, 4, true); view.setUint16(34, 16, true); view.setUint32(40, size, true);
  const piece = new Uint8Array(1000003).fill(64);
  let left = size, started = false;
  const stream = new ReadableStream({
    pull(to) {
      if (!started) { started = true; return to.enqueue(head); }
      if (left <= 0) return to.close();
      to.enqueue(piece.slice(0, Math.min(left, piece.length)));
      left -= piece.length;
    },
  });
  window.fetch = async () => new Response(stream, { headers: { "content-length": String(size + 44) } });
  let turns = 0, last = 0, rising = true, known = 0;
  const timer = setInterval(() => turns++);
  await readPeaks("x", null, (peaks, share) => { rising &&= share >= last; last = share; known = peaks.known; });
  clearInterval(timer);
  return [turns > 5, rising, last, known];
}"""


def test_an_hour_is_read_in_pieces_between_which_the_page_gets_its_turn(opened, spoken):
    page = opened(spoken[1])
    page.locator(".player").wait_for()
    assert page.evaluate(HOUR) == [True, True, 1, 1600]


@pytest.mark.parametrize(
    ("head", "told"),
    [("RIFF0000WAVEjunk", "not a WAV file"), ("<html>", "not a WAV file"), ("", "not a WAV file")],
)
def test_what_is_no_recording_is_said(opened, spoken, head, told):
    page = opened(spoken[1])
    page.locator(".player").wait_for()
    script = """async (head) => {
      const { readPeaks } = await import("/static/peaks.js");
      window.fetch = async () => new Response(head);
      return readPeaks("x", null, () => {}).then(() => "read", (error) => error.message);
    }"""
    assert told in page.evaluate(script, head)
