"""Pages follow what happens: a suite that runs, is killed and resumed, and a viewer that is killed and comes back."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import textwrap

import pytest
import sample_executions as samples
from waiting import wait_until

from duologue.runs.store.folder import write_execution

sync_api = pytest.importorskip("playwright.sync_api")
expect = sync_api.expect
pytestmark = pytest.mark.xdist_group("browser")

SUITE = """
apiVersion: duologue/v1
kind: Suite
metadata: {name: slow}
spec:
  agents:
    - {name: desk, target: "agent.py:answer"}
  scenarios:
    - name: hello
      turns:
        - {role: user, content: "one"}
        - {role: user, content: "two"}
        - {role: user, content: "three"}
      trials: 2
  defaults: {concurrency: 1}
"""
AGENT = textwrap.dedent("""
    import pathlib, time
    HERE = pathlib.Path(__file__).parent

    def answer(input):
        said = input.last_new_user_message_str()
        while not (HERE / f"go-{said}").exists():
            time.sleep(0.02)
        return f"answer to {said}"
""")


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


@pytest.fixture
def begin(tmp_path):
    """Starts a command of Duologue in a process; what is left at the end is killed."""
    begun = []
    environment = {**os.environ, "DUOLOGUE_CACHE_DIR": str(tmp_path / "cache")}

    def start(*arguments, cwd=tmp_path):
        process = subprocess.Popen(
            [sys.executable, "-m", "duologue", *map(str, arguments)],
            cwd=cwd,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        begun.append(process)
        return process

    yield start
    for process in begun:
        kill(process)


def kill(process):
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    process.stdout.close()


def test_a_page_follows_a_run_through_a_kill_and_its_resumption(opened, begin, view, tmp_path):
    (tmp_path / "suite.yaml").write_text(SUITE)
    (tmp_path / "agent.py").write_text(AGENT)
    results = tmp_path / "results"
    results.mkdir()
    viewer = view(results)
    page = opened(viewer.address)
    expect(page.locator(".empty-state")).to_be_visible()
    running = begin("run", "suite.yaml", "--out", results / "live")
    expect(page.locator(".executions > li .pill")).to_have_text("running")
    page.locator(".executions > li a").click()
    page.locator(".under-way a").first.click()
    said = page.locator(".message .said")
    expect(said).to_have_text(["one"])
    (tmp_path / "go-one").touch()
    expect(said).to_have_text(["one", "answer to one", "two"])
    kill(running)
    again = begin("run", "suite.yaml", "--resume", results / "live")
    (tmp_path / "go-two").touch()
    expect(said).to_have_text(["one", "answer to one", "two", "answer to two", "three"])
    (tmp_path / "go-three").touch()
    whole = ["one", "answer to one", "two", "answer to two", "three", "answer to three"]
    expect(said).to_have_text(whole)
    assert again.wait() == 3
    expect(page.locator("main.run .pill")).to_have_text(["? undecided"])
    expect(said).to_have_text(whole)


def test_a_page_says_that_the_viewer_has_gone_and_goes_on_when_it_is_back(opened, begin, tmp_path):
    results = tmp_path / "results"
    write_execution(samples.hotel(), results / "one")
    port = free_port()
    viewer = begin("view", results, "--no-open", "--port", port)
    assert f"http://127.0.0.1:{port}/" in viewer.stdout.readline()
    page = opened(f"http://127.0.0.1:{port}/", interrupted=True)
    expect(page.locator(".executions > li")).to_have_count(1)
    kill(viewer)
    expect(page.locator(".banner")).to_contain_text("duologue view is not responding")
    write_execution(samples.graded(), results / "two")
    viewer = begin("view", results, "--no-open", "--port", port)
    expect(page.locator(".executions > li")).to_have_count(2)
    expect(page.locator(".banner")).to_be_hidden()


def test_results_that_take_the_place_of_others_are_shown(opened, view, tmp_path):
    write_execution(samples.hotel(), tmp_path / "results" / "one")
    viewer = view(tmp_path / "results")
    viewer.listed(1)
    page = opened(f"{viewer.address}/executions/one")
    expect(page.locator("h1")).to_have_text("harbour-hotel")
    (tmp_path / "results" / "one").rename(tmp_path / "away")
    expect(page.locator(".banner")).to_have_text("These results have been removed.")
    write_execution(samples.graded(), tmp_path / "results" / "one")
    expect(page.locator(".banner")).to_be_hidden()
    expect(page.locator("h1")).to_have_text(samples.graded().suite)


def test_a_page_that_was_left_says_nothing_and_leaves_the_address_alone(opened, view, tmp_path):
    results = tmp_path / "results"
    for name in ("one", "two"):
        write_execution(samples.hotel(), results / name)
    viewer = view(results)
    viewer.listed(2)
    page = opened(f"{viewer.address}/executions/one")
    expect(page.locator("h1")).to_have_text("harbour-hotel")
    held = []

    def hold(route):
        held.append(route)

    page.route("**/api/execution?id=one", hold)
    (results / "one").rename(tmp_path / "away")
    wait_until(lambda: page.evaluate("true") and held)
    page.keyboard.press("o")
    expect(page.locator(".executions > li")).to_have_count(1)
    with page.expect_response("**/api/execution?id=one"):
        held[0].continue_()
    settled = "() => new Promise((done) => setTimeout(done, 500))"
    page.evaluate(settled)
    assert page.locator(".banner").is_hidden()
    for place in ("", "/executions/two/runs"):  # somebody types, and leaves before the search has begun
        page.goto(viewer.address + place)
        page.locator("a.row-link, .runs > li a").first.wait_for()
        page.evaluate("""() => {
            document.getElementById("search").value = "harbour";
            document.getElementById("search").dispatchEvent(new Event("input"));
            document.querySelector("a.row-link, nav[aria-label=Views] a").click();
        }""")
        page.wait_for_url("**/executions/two")
        page.evaluate(settled)
        assert page.url == f"{viewer.address}/executions/two"
