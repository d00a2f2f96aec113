"""What the suite of the pictures talks to, on loopback: the assistant, its next version, and a model that judges."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from datetime import date
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from duologue.demo.restaurant.dialogue import Dialogue
from duologue.demo.restaurant.server import Restaurant, RestaurantServer
from duologue.demo.restaurant.store import Store
from duologue.demo.restaurant.tools import Toolbox

CURRENT, FIRST_DRAFT, NEXT = "CURRENT_URL", "FIRST_DRAFT_URL", "NEXT_URL"
"""Versions of the assistant, by the variable that has the address."""
TODAY = date(2026, 6, 10)
Json = dict[str, Any]
JUDGEMENTS = {
    "sums up the booking": (
        r"(?s)so that is a table.*booking is confirmed",
        "It says the date, time, number and name, and asks.",
    ),
    "gets a reference": (r"your reference is r\d+", "The reference is in the confirmation."),
    "which dishes are safe": (r"without nuts", "It lists the dishes without nuts."),
    "names a time on sunday": (r"\d\d:\d\d", "It gives the hours of that day."),
    "offers another way": (r"two tables", None),
}
"""By words of a criterion: what a conversation has that meets it, and the reason; None for what cannot be decided."""

GO_ON: Json = {"action": "continue", "criteria": [], "reasoning": "It is not over.", "verdict": "undecided"}


class FirstDraft(Dialogue):
    """A version that books without a summary, and names no reference."""

    def _check(self) -> str:
        super()._check()
        return self._create().partition(" Your reference")[0] if self._checked else super()._check()

    def _hours(self, heard: Any) -> str:
        return "We are open every evening."


class NextVersion(Dialogue):
    """A version that books what it has summed up, and no longer looks the opening hours up."""

    def _settle(self, heard: Any, changed: set[str]) -> str:
        if not changed:
            return super()._settle(heard, changed)
        self._checked = None
        return f"Of course. {self._check()}"

    def _hours(self, heard: Any) -> str:
        return "We are open every evening."


class OtherRestaurant(Restaurant):
    """A restaurant with another version of the assistant."""

    version: type[Dialogue]

    def _dialogue(self, thread_id: str) -> Dialogue:
        if thread_id not in self._dialogues:
            self._dialogues[thread_id] = self.version(Toolbox(Store(self.today)), self.today)
        return self._dialogues[thread_id]


class Judge(BaseHTTPRequestHandler):
    """A model that decides by what stands in :data:`JUDGEMENTS`."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        """Decide."""
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        fields = body["response_format"]["json_schema"]["schema"]["properties"]
        told = GO_ON if "action" in fields else decided(body["messages"][-1]["content"])
        message = {"role": "assistant", "content": json.dumps(told)}
        choice = {"index": 0, "finish_reason": "stop", "message": message}
        usage = {"prompt_tokens": 412, "completion_tokens": 96, "total_tokens": 508}
        answer = {"id": "judged", "object": "chat.completion", "created": 1, "model": "judge-small"}
        data = json.dumps({**answer, "choices": [choice], "usage": usage}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


def decided(asked: str) -> Json:
    """The judge's answer to a prompt."""
    found = re.search(r"<transcript>(.*)</transcript>", asked, re.DOTALL)
    said = (found[1] if found else "").lower()
    entries = [_entry(name, text.lower(), said) for name, text in re.findall(r"^(c\d+): (.*)$", asked, re.MULTILINE)]
    words = {entry["decision"] for entry in entries}
    verdict = "fail" if "false" in words else "undecided" if "inconclusive" in words else "pass"
    return {"criteria": entries, "reasoning": entries[0]["reason"], "verdict": verdict}


def _entry(name: str, criterion: str, said: str) -> Json:
    pattern, reason = next(found for words, found in JUDGEMENTS.items() if words in criterion)
    met = re.search(pattern, said)
    ids = re.findall(r"\bm\d+\b", said[: met.end()] if met else said)[-1:]
    if reason is None:
        return {"id": name, "reason": "It neither offers nor refuses it.", "evidence": ids, "decision": "inconclusive"}
    reason = reason if met else "Nothing of that kind is said."
    return {"id": name, "reason": reason, "evidence": ids, "decision": "true" if met else "false"}


@contextmanager
def parts() -> Generator[dict[str, str]]:
    """All of them, as long as the block lasts: variables for the suite, by name."""
    with ExitStack() as stack:
        judge = stack.enter_context(ThreadingHTTPServer(("127.0.0.1", 0), Judge))
        judge.daemon_threads = True
        thread = threading.Thread(target=judge.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        stack.callback(thread.join)
        stack.callback(judge.shutdown)
        versions = {CURRENT: Dialogue, FIRST_DRAFT: FirstDraft, NEXT: NextVersion}
        urls = {name: f"{_served(stack, version)}/v1/chat/completions" for name, version in versions.items()}
        yield {**urls, "JUDGE_URL": f"http://127.0.0.1:{judge.server_port}/v1"}


def _served(stack: ExitStack, version: type[Dialogue]) -> str:
    server = RestaurantServer(TODAY, isolated=True)
    restaurant = type("Versioned", (OtherRestaurant,), {"version": version})(TODAY, isolated=True)
    server._server.RequestHandlerClass.restaurant = restaurant  # type: ignore[attr-defined]
    return stack.enter_context(server).url
