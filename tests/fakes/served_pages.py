"""``duologue serve`` in a process of its own, and projects in it, for tests of its pages."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
from shop_peers import ShopPeers
from waiting import LONG

NUMBERS = count(1)


@dataclass
class ServeProcess:
    """``duologue serve`` on a database of its own."""

    store: Path
    port: int = 0
    url: str = ""
    options: tuple[str, ...] = ()
    process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        """Start it, on the port that it had before."""
        command = ["-m", "duologue", "serve", "--store", str(self.store), "--port", str(self.port), "--grace", "0"]
        self.process = subprocess.Popen(
            [sys.executable, *command, "--concurrency", "8", *self.options],
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )
        assert self.process.stdout is not None
        self.url = self.process.stdout.readline().strip().rpartition(" at ")[2].removesuffix("/api/v1")
        assert self.url, "it has not started"
        self.port = int(self.url.rpartition(":")[2])

    def kill(self) -> None:
        """As ``kill -9`` does."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()


def end_leases(store: Path) -> None:
    """Nobody has to wait until the leases of a killed worker are over."""
    connection = sqlite3.connect(store, timeout=LONG)
    with connection:
        connection.execute("UPDATE workers SET lease_until = 0")
    connection.close()


@contextmanager
def serve_process(folder: Path, *options: str) -> Generator[ServeProcess]:
    """One that is running, and killed in the end."""
    folder.mkdir(mode=0o700)
    served = ServeProcess(store=folder / "duologue.db", options=options)
    served.start()
    try:
        yield served
    finally:
        served.kill()


@dataclass
class Project:
    """A project of its own in the service, by the API and by its pages."""

    name: str
    pages: str
    api: httpx.Client
    peers: ShopPeers

    def make(self, path: str, **fields: Any) -> Any:
        """Create something; what was answered."""
        answered = self.api.post(path, json=fields)
        assert answered.is_success, answered.text
        return answered.json()

    def get(self, path: str, **query: Any) -> Any:
        """What the API answers."""
        answered = self.api.get(path, params=query)
        assert answered.is_success, answered.text
        return answered.json()

    def shop(self, *words: str, trials: int = 1, **fields: Any) -> str:
        """An eval in which users say these words to the shop's agent; its id."""
        connector = self.make("/connectors", name="desk", type="http", base_url=self.peers.url)["id"]
        scenarios = [
            self.make(
                "/scenarios",
                name=f"{said.split()[0]}-{place}",
                description="Somebody wants their money back.",
                turns=[{"role": "user", "content": said}],
                criteria=["The agent promises 30 days"],
            )["id"]
            for place, said in enumerate(words or ("refund please", "angry words"), 1)
        ]
        made = self.make(
            "/evals",
            **{"name": "refunds", "scenario_ids": scenarios, "connector_id": connector, "trials": trials, **fields},
        )
        return made["id"]

    def run(self, eval_id: str, **fields: Any) -> int:
        """An execution that is over; its number."""
        number = self.make("/executions", eval_id=eval_id, **fields)["id"]
        with self.api.stream("GET", f"/executions/{number}/events", timeout=LONG) as events:
            for line in events.iter_lines():
                if line == "event: execution_completed":
                    break
        return number


@contextmanager
def project_of(served: ServeProcess, peers: ShopPeers, name: str) -> Generator[Project]:
    """A new project, judged by the shop's model."""
    shop = {"name": "shop", "provider": "openai", "model": "shop", "base_url": peers.model}
    settings = {"evaluation_model": "shop", "persona_model": "shop", "models": [shop]}
    with httpx.Client(base_url=f"{served.url}/api/v1", params={"project": name}, timeout=LONG) as api:
        made = api.post("/projects", json={"name": name, "settings": settings})
        assert made.is_success, made.text
        yield Project(name=name, pages=f"{served.url}/p/{quote(name, safe='')}", api=api, peers=peers)
