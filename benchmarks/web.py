"""How quickly pages are there: an execution of 10,000 runs, and a folder of 10,000 executions, in chromium on loopback.

    python benchmarks/web.py [--runs 10000] [--executions 10000]

For each page: first paint and the moment at which it can be used, in milliseconds after the address was opened; frames
that took longer than 50 ms while it scrolled from top to bottom; and the memory of the page afterwards.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import shutil
import sys
import tempfile
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "fakes"))

import httpx
import sample_executions as samples
from playwright.sync_api import Page, sync_playwright

from duologue.runs.store.folder import write_execution
from duologue.viewer import serving

PAINT = "performance.getEntriesByName('first-contentful-paint')[0]?.startTime"
SCROLL = """async (selector) => {
  const frames = []; let last = performance.now(); let on = true;
  const watch = now => { frames.push(now - last); last = now; if (on) requestAnimationFrame(watch); };
  requestAnimationFrame(watch);
  const box = selector ? document.querySelector(selector) : document.scrollingElement;
  const height = box.scrollHeight;
  for (let step = 0; step <= 150; step++) {
    box.scrollTo(0, height * step / 150);
    await new Promise(requestAnimationFrame);
  }
  await new Promise(done => setTimeout(done, 300));
  on = false;
  return { frames: frames.length, slow: frames.filter(time => time > 50).length,
           longest: Math.round(Math.max(...frames.slice(1))) };
}"""


def main() -> None:
    """Measure, and print a table and one line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=10_000)
    parser.add_argument("--executions", type=int, default=10_000)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as made:
        found = measured(Path(made), asked.runs, asked.executions)
    for name, values in found.items():
        print(f"{name:<22}" + "  ".join(f"{key} {value}" for key, value in values.items()))
    print(json.dumps({"benchmark": "web", "runs": asked.runs, "executions": asked.executions, **found}))


def measured(folder: Path, runs: int, executions: int) -> dict[str, dict[str, float]]:
    """All measurements."""
    write_execution(samples.many(runs), folder / "runs" / "night")
    one = folder / "one"
    write_execution(samples.graded(), one)
    for number in range(executions):
        target = folder / "executions" / f"{number // 100:03}" / f"{number:05}"
        target.mkdir(parents=True)
        shutil.copy(one / "index.json", target / "index.json")
    found: dict[str, dict[str, float]] = {}
    chromium = next(path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name)))
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        address, stop = started(folder / "runs", folder / "rows-1.json")
        run = httpx.get(f"{address}/api/runs", params={"id": "night", "limit": 1}).json()["runs"][0]["id"]
        execution = f"{address}/executions/night"
        for name, target, ready, scrolled in (
            ("execution, first time", execution, "a.cell", None),
            ("execution", execution, "a.cell", None),
            ("list of runs", f"{execution}/runs", ".runs a", "nav.list"),
            ("run", f"{execution}/run/{run}", "main.run .message", "nav.list"),
        ):
            found[name] = page_of(browser, target, ready, scrolled)
        stop()
        address, stop = started(folder / "executions", folder / "rows-2.json")
        began = time.perf_counter()
        while not httpx.get(f"{address}/api/executions", timeout=60).json()["ready"]:
            time.sleep(0.2)
        found["index"] = {"seconds": round(time.perf_counter() - began, 1)}
        found["executions"] = page_of(browser, f"{address}/", ".executions a", "")
        stop()
        browser.close()
    return found


def page_of(browser, address: str, ready: str, scrolled: str | None) -> dict[str, float]:
    """What one page takes."""
    page: Page = browser.new_page(viewport={"width": 1300, "height": 900})
    client = page.context.new_cdp_session(page)
    page.goto(address, wait_until="commit")
    page.locator(ready).first.wait_for()
    usable = page.evaluate("performance.now()")
    page.wait_for_timeout(300)
    values: dict[str, float] = {"paint_ms": round(page.evaluate(PAINT) or -1), "usable_ms": round(usable)}
    if scrolled is not None:
        values |= page.evaluate(SCROLL, scrolled)
    page.wait_for_timeout(300)
    client.send("HeapProfiler.collectGarbage")
    values["heap_mb"] = round(client.send("Runtime.getHeapUsage")["usedSize"] / 1e6, 1)
    values["nodes"] = page.evaluate("document.querySelectorAll('*').length")
    page.close()
    return values


def started(folder: Path, cache: Path):
    """A viewer in a thread: its address, and what stops it."""
    begun = threading.Event()
    held: dict[str, object] = {}

    async def run() -> None:
        held["loop"], held["stopped"] = asyncio.get_running_loop(), asyncio.Event()

        def began(address: str) -> None:
            held["address"] = address.rstrip("/")
            begun.set()

        await serving.serve(folder, 0, began, held["stopped"])

    thread = threading.Thread(target=lambda: asyncio.run(run()), daemon=True)
    thread.start()
    begun.wait()
    while not httpx.get(f"{held['address']}/api/executions").json()["all"]:
        time.sleep(0.05)

    def stop() -> None:
        held["loop"].call_soon_threadsafe(held["stopped"].set)
        thread.join()

    return held["address"], stop


if __name__ == "__main__":
    main()
