"""The API asked whatever its own description allows, and some of what it does not: no server error, and answers that
are as described."""

from __future__ import annotations

import asyncio
import copy
import json
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from api_service import Service, open_service
from hypothesis import HealthCheck, Phase, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from duologue.server import create_app
from duologue.server.openapi import document


def _asked(schema: Any) -> Any:
    """The schema of a field as bodies are made from it: what is made of other specs may be anything, which the service
    has to withstand as well, and which takes far less time to make up."""
    return {} if "$ref" in json.dumps(schema) else schema


def _described() -> dict[str, Any]:
    """The document, whose bodies are made up field by field."""
    made = copy.deepcopy(document(create_app()))
    schemas = made["components"]["schemas"]
    for methods in made["paths"].values():
        for operation in methods.values():
            for content in operation.get("requestBody", {}).get("content", {}).values():
                whole = schemas[content["schema"]["$ref"].rpartition("/")[2]]
                fields = {name: _asked(field) for name, field in whole["properties"].items()}
                content["schema"] = {key: value for key, value in whole.items() if key in {"type", "required"}}
                content["schema"] |= {"properties": fields, "additionalProperties": False}
    return made


WITHOUT_COVERAGE = schemathesis.Config.from_dict({"phases": {"coverage": {"enabled": False}}})
"""Enumerating the bounds of every field takes longer, before the first test, than all requests of the generated ones;
what is wrong about single fields has tests of its own."""
SCHEMA = schemathesis.openapi.from_dict(_described(), config=WITHOUT_COVERAGE)
CHECKS = [not_a_server_error, content_type_conformance, response_schema_conformance, status_code_conformance]
OFTEN = settings(
    max_examples=4,
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)


class Running:
    """A service on an event loop in a thread, asked by tests that are not asynchronous."""

    def __init__(self, store: Path) -> None:
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self.thread.start()
        self.opened = open_service(store, token_required=False)
        self.service: Service = self.do(self.opened.__aenter__())

    def do(self, work: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self.loop).result()

    def close(self) -> None:
        self.do(self.opened.__aexit__(None, None, None))
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join()
        self.loop.close()


@pytest.fixture(scope="module")
def running(empty_store: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("properties")
    folder.chmod(0o700)
    shutil.copy(empty_store, folder / "duologue.db")
    made = Running(folder / "duologue.db")
    yield made
    made.close()


@SCHEMA.parametrize()
@OFTEN
def test_whatever_is_asked_is_answered_as_described(case: Any, running: Running) -> None:
    case.query = {**(case.query or {}), "project": "shop"}
    request = case.as_transport_kwargs(base_url="http://localhost")
    client = running.service.client("")
    sent = running.do(
        client.request(
            request["method"],
            request["url"],
            params=request.get("params"),
            headers=dict(request.get("headers") or {}),
            **({"json": request["json"]} if "json" in request else {}),
            **({"content": request["data"]} if isinstance(request.get("data"), (bytes, str)) else {}),
        )
    )
    case.validate_response(sent, checks=CHECKS)
