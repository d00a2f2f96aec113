"""A folder of results, and the viewer over it: the real server, in a thread."""

from __future__ import annotations

import asyncio
import threading

import httpx
import pytest
from made_nights import nightly
from pages import axe, browser, opened  # noqa: F401 -- fixtures
from waiting import LONG, wait_until

from duologue.viewer import serving


class Viewer:
    """A running viewer."""

    def __init__(self, folder, port=0):
        self.folder = folder
        self._address = None
        self._begun = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run(port)), daemon=True)
        self._thread.start()
        assert self._begun.wait(LONG)
        self.address = self._address.rstrip("/")
        self.client = httpx.Client(base_url=self.address, timeout=LONG)

    async def _run(self, port):
        self._loop, self._stopped = asyncio.get_running_loop(), asyncio.Event()

        def began(address):
            self._address = address
            self._begun.set()

        await serving.serve(self.folder, port, began, self._stopped)

    def close(self):
        """Stop it."""
        self.client.close()
        self._loop.call_soon_threadsafe(self._stopped.set)
        self._thread.join(LONG)
        assert not self._thread.is_alive()

    def get(self, name, **values):
        """The JSON of a route."""
        answer = self.client.get(f"/api/{name}", params=values)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def listed(self, number):
        """The list, once it has so many executions."""
        wait_until(lambda: (found := self.get("executions"))["all"] == number and found["ready"])
        return self.get("executions")["rows"]


@pytest.fixture(scope="module")
def view(tmp_path_factory):
    """Starts viewers, which are stopped at the end of the module."""
    patch = pytest.MonkeyPatch()
    patch.setenv("DUOLOGUE_CACHE_DIR", str(tmp_path_factory.mktemp("cache")))
    begun = []

    def start(folder, port=0):
        begun.append(Viewer(folder, port))
        return begun[-1]

    yield start
    for viewer in begun:
        viewer.close()
    patch.undo()


@pytest.fixture
def results(tmp_path):
    """A folder with three executions of a suite, two levels down."""
    folder = tmp_path / "results"
    nightly(folder)
    return folder
