"""Kills a suite again and again, and its resumes, fills the disk in between, and counts what is lost or done twice.

    python benchmarks/resume_kills.py --kills 60 --runs 200

An agent behind a URL counts how often it is asked in each run. The command is killed with SIGKILL at a random number of
requests; every fifth time the disk is full instead, with 0 to 60 KiB free (a tmpfs of its own, which needs ``unshare``
with user namespaces; without it there are only kills). Then it is resumed, and killed again. An execution that comes
to its end is checked and followed by the next, until there were enough kills. Prints a table and one line of JSON, and
exits with 1 if anything was lost, done twice, or stayed an error.
"""

from __future__ import annotations

import argparse
import http.server
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import ClassVar

TURNS = 3
JOBS = 8
DISK = "64m"


class Agent(http.server.BaseHTTPRequestHandler):
    """Answers, and counts requests by run and turn."""

    protocol_version = "HTTP/1.1"
    asked: ClassVar[Counter[tuple[str, int]]] = Counter()
    total = 0
    lock = threading.Lock()

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        users = [message["content"] for message in body["messages"] if message["role"] == "user"]
        with Agent.lock:
            Agent.total += 1
            Agent.asked[users[0].split()[1], len(users)] += 1
        data = json.dumps({"choices": [{"message": {"role": "assistant", "content": f"yes {len(users)}"}}]}).encode()
        try:
            self.send_response(200)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)
        except OSError:
            return  # the asker was killed

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


def suite(url: str, runs: int) -> dict[str, object]:
    """Runs that tell the agent which one they are."""
    first = {"content": "run {n} begins", "perturbations": {"n": [str(number) for number in range(runs)]}}
    turns = [first, *({"content": f"go on {number}"} for number in range(1, TURNS))]
    check = {"type": "contains", "params": {"patterns": ["yes"]}}
    return {
        "apiVersion": "duologue/v1",
        "kind": "Suite",
        "metadata": {"name": "kills"},
        "spec": {
            "agents": [{"name": "bot", "http": {"url": url}}],
            "scenarios": [{"name": "talk", "turns": turns, "checks": [check]}],
            "defaults": {"seed": 1, "concurrency": JOBS},
        },
    }


class Server(http.server.ThreadingHTTPServer):
    """Says nothing about askers that were killed."""

    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """A connection was reset."""


class Bench:
    """One launch after the other."""

    def __init__(self, folder: Path, runs: int, seed: int, *, own_disk: bool) -> None:
        self.folder = folder
        self.runs = runs
        self.random = random.Random(seed)
        self.own_disk = own_disk
        self.kills = self.full = self.executions = self.launches = 0
        self.lost: list[str] = []
        self.twice: list[str] = []
        self.errors: list[str] = []
        self.repeated = 0
        self.tracebacks = 0
        self.finished: dict[str, tuple[bytes, int]] = {}
        server = Server(("127.0.0.1", 0), Agent)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        (folder / "suite.yaml").write_text(json.dumps(suite(f"http://127.0.0.1:{server.server_port}", runs)))

    @property
    def out(self) -> Path:
        return self.folder / f"out{self.executions}"

    def play(self, kills: int) -> None:
        """Until there were so many interruptions, and the last execution is whole."""
        while True:
            over = self.kills + self.full >= kills
            how = "whole" if over else "full" if self.own_disk and self.random.random() < 0.2 else "kill"
            if self.launch(how):
                self.check_whole()
                self.executions += 1
                self.finished.clear()
                Agent.asked.clear()
                if self.kills + self.full >= kills:
                    return
                if self.executions > 1:
                    shutil.rmtree(self.folder / f"out{self.executions - 1}")

    def launch(self, how: str) -> bool:
        """Run or resume until it ends or is interrupted; whether it is whole."""
        option = "--resume" if (self.out / "launch.json").exists() else "--out"
        command = [
            sys.executable,
            "-m",
            "duologue",
            "run",
            str(self.folder / "suite.yaml"),
            option,
            str(self.out),
            "-q",
        ]
        open_ = TURNS * (self.runs - len(self.finished))
        limit = Agent.total + self.random.randint(0, max(1, min(open_, 150)))
        filler = self.folder / "filler"
        self.launches += 1
        said = (self.folder / "said").open("wb")
        with said, subprocess.Popen(command, stdout=said, stderr=said) as process:
            while process.poll() is None and (how == "whole" or Agent.total < limit):
                time.sleep(0.002)
            if process.poll() is None and how == "kill":
                process.send_signal(signal.SIGKILL)
                self.kills += 1
            elif process.poll() is None and how == "full":
                space = os.statvfs(self.folder)
                free = self.random.choice((0, 4, 8, 16, 20, 24, 28, 40, 60)) * 1024
                with suppress(OSError):  # the suite goes on writing meanwhile: then it is full already
                    filler.write_bytes(b"x" * max(0, space.f_bavail * space.f_bsize - free))
                self.full += 1
            code = process.wait()
        filler.unlink(missing_ok=True)
        text = (self.folder / "said").read_text(errors="replace")
        self.tracebacks += "Traceback" in text
        self.compare()
        index = self.out / "index.json"
        whole = code == 0 and index.exists()
        if how == "whole" and not whole:
            self.errors.append(f"exit code {code}: {text[-300:]}")
            return True
        return whole

    def compare(self) -> None:
        """Results that were there are there, unchanged, and their runs were not asked anything again."""
        now: dict[str, tuple[bytes, int]] = {}
        for path in (self.out / "runs").glob("*.json") if (self.out / "runs").is_dir() else ():
            data = path.read_bytes()
            run = json.loads(data)
            number = run["case"]["perturbation"]["n"]
            if run["status"] == "completed":
                now[number] = data, sum(Agent.asked[number, turn + 1] for turn in range(TURNS))
        for number, (data, asked) in self.finished.items():
            if number not in now:
                self.lost.append(number)
            elif now[number] != (data, asked):
                self.twice.append(number)
        self.finished = now

    def check_whole(self) -> None:
        """Every run has one result, a pass, and its journal; nothing was asked twice but what was in flight."""
        index = json.loads((self.out / "index.json").read_text())
        outcomes = Counter(run["outcome"] for run in index["runs"])
        if outcomes != {"pass": self.runs}:
            self.errors.append(str(dict(outcomes)))
        names = {run["run_id"] for run in index["runs"]}
        journals = {path.stem for path in (self.out / "journals").glob("*.jsonl")}
        self.lost += sorted(names - journals)
        self.repeated += sum(count - 1 for count in Agent.asked.values())
        if any(len(json.loads((self.out / run["file"]).read_text())["messages"]) != 2 * TURNS for run in index["runs"]):
            self.errors.append("a conversation is not whole")


def alone() -> bool:
    """Whether a file system of our own can be made; if so, this program is executed again where it can."""
    if os.environ.get("RESUME_KILLS_ALONE"):
        return True
    command = ["unshare", "--user", "--map-root-user", "--mount"]
    try:
        if subprocess.run([*command, "true"], check=False, capture_output=True).returncode:
            return False
    except OSError:
        return False
    os.environ["RESUME_KILLS_ALONE"] = "1"
    return os.execvp(command[0], [*command, sys.executable, *sys.argv])


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--kills", type=int, default=60)
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    own_disk = alone()
    with tempfile.TemporaryDirectory() as folder:
        if own_disk:
            own_disk = not subprocess.run(
                ["mount", "-t", "tmpfs", "-o", f"size={DISK}", "tmpfs", folder], check=False
            ).returncode
        try:
            bench = Bench(Path(folder), given.runs, given.seed, own_disk=own_disk)
            began = time.monotonic()
            bench.play(given.kills)
            seconds = time.monotonic() - began
        finally:
            if own_disk:
                subprocess.run(["umount", "-l", folder], check=False)
    most = JOBS * (bench.kills + bench.full)
    wrong = len(bench.lost) + len(bench.twice) + len(bench.errors) + bench.tracebacks + (bench.repeated > most)
    rows = {
        "kills": bench.kills,
        "full disks": bench.full,
        "launches": bench.launches,
        "executions": bench.executions,
        "runs": bench.executions * given.runs,
        "results lost": len(bench.lost),
        "results made or asked twice": len(bench.twice),
        "runs that stay an error": len(bench.errors),
        "tracebacks": bench.tracebacks,
        f"requests repeated (at most {most} in flight)": bench.repeated,
        "seconds": round(seconds, 1),
    }
    for name, value in rows.items():
        print(f"{name:45} {value:>8}")
    for text in [*bench.errors, *bench.lost, *bench.twice]:
        print("wrong:", text)
    print(json.dumps({"benchmark": "resume_kills", "ok": not wrong, **rows}))
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main())
