"""How quickly pages are there: executions of 10,000 runs, and lists of 10,000 executions, in chromium on loopback.

    python benchmarks/web.py [--runs 10000] [--executions 10000] [--parts view,serve]

``duologue view`` and ``duologue serve`` (with a SQLite store) are processes of their own, and each page is opened in a
browser that has never seen it. For each page: first paint and the moment at which it can be used, in milliseconds after
the address was opened; frames that took longer than 50 ms while it scrolled from top to bottom; the memory of its
JavaScript and of its whole renderer process. How many requests it makes, how many kilobytes it gets, and how long the
processors of the server and of the renderer are busy do not depend on what else the machine does.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "fakes"))

import httpx
import sample_executions as samples
from playwright.sync_api import Browser, Page, sync_playwright
from sqlalchemy import Connection, insert, select

from duologue.runs.service import RunService
from duologue.runs.store.database.artifacts import artifacts_of
from duologue.runs.store.database.results_import import import_results
from duologue.runs.store.database.schema import executions, runs, snapshots
from duologue.runs.store.folder import write_execution
from duologue.suites.plan.build import TestCase

Values = dict[str, float]
TICKS = os.sysconf("SC_CLK_TCK")
OF_EACH = 5
"""Runs of each execution of a list in the service."""
PAINT = "performance.getEntriesByName('first-contentful-paint')[0]?.startTime"
USABLE = """((selector) => {
  const look = () => {
    if (!document.querySelector(selector)) return requestAnimationFrame(look);
    return requestAnimationFrame(() => setTimeout(() => (window.usable = performance.now())));
  };
  look();
})"""
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
    parser.add_argument("--parts", default="view,serve")
    asked = parser.parse_args()
    parts = asked.parts.split(",")
    found: dict[str, Values] = {}
    with tempfile.TemporaryDirectory() as made, sync_playwright() as playwright:
        folder = Path(made)
        write_execution(samples.many(asked.runs), folder / "runs" / "night")
        paths = map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))
        browser = playwright.chromium.launch(executable_path=next(filter(None, paths)), args=["--no-sandbox"])
        measures = {"view": view_pages, "serve": serve_pages}
        for name in parts:
            for page, values in measures[name](browser, folder, asked.executions):
                found[f"{name}: {page}"] = values
                print(f"{name}: {page:<22}" + "  ".join(f"{key} {value}" for key, value in values.items()), flush=True)
        browser.close()
    print(json.dumps({"benchmark": "web", "runs": asked.runs, "executions": asked.executions, "pages": found}))


def view_pages(browser: Browser, folder: Path, count: int) -> Iterator[tuple[str, Values]]:
    """The pages of ``duologue view``."""
    with server("view", str(folder / "runs"), "--no-open", folder=folder) as host:
        while not host.get("/api/executions").json()["ready"]:
            time.sleep(0.05)
        run = host.get("/api/runs", id="night", limit=1).json()["runs"][0]["id"]
        execution = "/executions/night"
        yield from execution_pages(browser, host, execution, f"{execution}/run/{run}")
    one = folder / "one"
    write_execution(samples.graded(), one)
    for number in range(count):
        target = folder / "executions" / f"{number // 100:03}" / f"{number:05}"
        target.mkdir(parents=True)
        shutil.copy(one / "index.json", target / "index.json")
    began = time.perf_counter()
    with server("view", str(folder / "executions"), "--no-open", folder=folder) as host:
        while not host.get("/api/executions").json()["ready"]:
            time.sleep(0.2)
        yield "index", {"seconds": round(time.perf_counter() - began, 1), "server_ms": host.busy()}
        yield "executions", page_of(browser, host, "/", ".executions a", "")


def serve_pages(browser: Browser, folder: Path, count: int) -> Iterator[tuple[str, Values]]:
    """The pages of ``duologue serve``."""
    store = folder / "store" / "service.db"
    store.parent.mkdir(mode=0o700)
    with ThreadPoolExecutor(1) as thread:  # this one has the event loop of Playwright
        execution, project = thread.submit(asyncio.run, fill(str(store), folder / "runs" / "night", count)).result()
    with server("serve", "--store", str(store), "--no-worker", folder=folder) as host:
        path = f"/p/{project}/executions/{execution}"
        found = host.get(f"/api/pages/executions/{execution}/runs", project=project, limit=1).json()["runs"][0]["id"]
    with server("serve", "--store", str(store), "--no-worker", folder=folder) as host:
        yield from execution_pages(browser, host, path, f"{path}/run/{found}")
        yield "executions", page_of(browser, host, f"/p/{project}/", ".executions a", "")


def execution_pages(browser: Browser, host: Host, execution: str, run: str) -> Iterator[tuple[str, Values]]:
    """The pages of an execution."""
    for name, target, ready, scrolled in (
        ("execution, first time", execution, "a.cell", None),
        ("execution", execution, "a.cell", ""),
        ("list of runs", f"{execution}/runs", ".runs a", "nav.list"),
        ("run", run, "main.run .message", "nav.list"),
    ):
        yield name, page_of(browser, host, target, ready, scrolled)


@dataclass
class Host:
    """A server in a process of its own."""

    process: subprocess.Popen[str]
    address: str

    def get(self, path: str, **query: Any) -> httpx.Response:
        """What it answers."""
        return httpx.get(self.address + path, params=query, timeout=300).raise_for_status()

    def busy(self) -> int:
        """Milliseconds of a processor that it has used."""
        return busy(self.process.pid)


@contextmanager
def server(*arguments: str, folder: Path) -> Iterator[Host]:
    """``duologue view`` or ``duologue serve`` on a free port."""
    process = subprocess.Popen(
        [sys.executable, "-m", "duologue", *arguments, "--port", "0"],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1", "DUOLOGUE_CACHE_DIR": str(folder / "cache")},
    )
    try:
        assert process.stdout is not None
        found = next(match for line in process.stdout if (match := re.search(r"http://[\d.]+:\d+", line)))
        yield Host(process, found[0])
    finally:
        process.terminate()
        process.wait()


async def fill(store: str, night: Path, count: int) -> tuple[int, str]:
    """A store with an execution of many runs and many executions of few; the number of the first, and the project."""
    async with RunService.open(store, create=True) as service:
        database, project = service.database, service.project
        made = await import_results(database, artifacts_of(database.address, None), night, project.id)
        case = json.dumps(TestCase(index=0, scenario="refund", agent="bot").as_data()).encode()
        data = {"suite": "nightly", "environment": {"commit": "c0ffee2", "who": "ada"}}
        run = {"project_id": project.id, "snapshot": "sha256:x", "trial": 1, "test_case": case, "status": "completed"}
        run |= {"cost": 0.01, "tokens": 100, "created_at": 1e9, "updated_at": 1e9, "started_at": 1e9}

        def put(connection: Connection) -> None:
            connection.execute(insert(snapshots).values(digest="sha256:x", data=b"{}", created_at=0.0))
            rows = [
                {"project_id": project.id, "name": f"night {number}", "data": data, "created_at": 1e9 + number}
                for number in range(count)
            ]
            connection.execute(insert(executions), rows)
            asked = select(executions.c.id).where(executions.c.name.like("night %"))
            results = [
                {
                    **run,
                    "id": f"run-{number}-{place}",
                    "execution_id": number,
                    "identity": str(place),
                    "outcome": "fail" if (number + place) % 5 == 0 else "pass",
                    "completed_at": 1e9 + 60,
                }
                for number in connection.execute(asked).scalars()
                for place in range(OF_EACH)
            ]
            connection.execute(insert(runs), results)

        await database.write(put, timeout=600.0)
        return made.execution.id, project.name


def page_of(browser: Browser, host: Host, path: str, ready: str, scrolled: str | None) -> Values:
    """What one page takes."""
    context = browser.new_context(viewport={"width": 1300, "height": 900})
    page: Page = context.new_page()
    client = context.new_cdp_session(page)
    client.send("Performance.enable")
    client.send("Network.enable")
    sizes: list[float] = []
    requests: list[str] = []
    client.on("Network.requestWillBeSent", lambda event: requests.append(event["request"]["url"]))
    client.on("Network.loadingFinished", lambda event: sizes.append(event["encodedDataLength"]))
    page.add_init_script(f"{USABLE}({json.dumps(ready)})")
    before = host.busy()
    page.goto(host.address + path, wait_until="commit")
    while not (usable := page.evaluate("window.usable")):
        page.wait_for_timeout(20)
    values: Values = {"paint_ms": round(page.evaluate(PAINT) or -1), "usable_ms": round(usable)}
    values |= {"server_ms": host.busy() - before, "page_ms": round(metric(client, "ProcessTime") * 1000)}
    values |= {"requests": len(requests), "kb": round(sum(sizes) / 1000)}
    page.wait_for_timeout(300)
    if scrolled is not None:
        values |= page.evaluate(SCROLL, scrolled)
        page.wait_for_timeout(300)
    client.send("HeapProfiler.collectGarbage")
    values["heap_mb"] = round(client.send("Runtime.getHeapUsage")["usedSize"] / 1e6, 1)
    values["process_mb"] = renderer_mb(browser)
    values["nodes"] = page.evaluate("document.querySelectorAll('*').length")
    context.close()
    return values


def metric(client: Any, name: str) -> float:
    """One of the figures that chromium keeps of a page."""
    return {item["name"]: item["value"] for item in client.send("Performance.getMetrics")["metrics"]}[name]


def renderer_mb(browser: Browser) -> float:
    """Memory that the newest renderer process has for itself, in megabytes: the page's own."""
    client = browser.new_browser_cdp_session()
    found = client.send("SystemInfo.getProcessInfo")["processInfo"]
    client.detach()
    pids = [int(item["id"]) for item in found if item["type"] == "renderer"]
    return max((private_mb(pid) for pid in pids), default=-1.0)


def private_mb(pid: int) -> float:
    """Memory that a process shares with no other."""
    try:
        text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except OSError:
        return -1.0
    return round(sum(map(int, re.findall(r"^Private_\w+:\s+(\d+)", text, re.MULTILINE))) / 1000, 1)


def busy(pid: int) -> int:
    """Milliseconds of a processor that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) * 1000 // TICKS


if __name__ == "__main__":
    main()
