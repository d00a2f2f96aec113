"""The client is the one of the service in this checkout, and the generator makes sound code of any document."""

from __future__ import annotations

import subprocess
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("fastapi", reason="needs the extra 'server'")

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "scripts/generate-client"


def test_the_client_and_its_document_are_those_of_the_service():
    done = subprocess.run([sys.executable, str(SCRIPT), "--check"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_what_is_stale_is_named(tmp_path: Path):
    command = [sys.executable, str(SCRIPT), "--out", str(tmp_path)]
    subprocess.run(command, check=True, capture_output=True)
    model = tmp_path / "src/duologue/client/models.py"
    model.write_text(model.read_text() + "# by hand\n")
    (tmp_path / "src/duologue/client/_generated/old.py").write_text("")
    done = subprocess.run([*command, "--check"], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "models.py differs" in done.stdout
    assert "old.py is not generated" in done.stdout
    assert "run scripts/generate-client" in done.stdout


AWKWARD: dict[str, Any] = {
    "openapi": "3.1.0",
    "info": {"title": "Awkward", "version": "1"},
    "paths": {
        "/trees/{tree-id}/leaves/{class}": {
            "parameters": [
                {"name": "tree-id", "in": "path", "required": True, "schema": {"type": "string"}},
                {"name": "class", "in": "path", "required": True, "schema": {"type": "integer"}},
            ],
            "get": {
                "operationId": "getLeaf",
                "tags": ["Odd trees"],
                "summary": 'A leaf: it has """quotes""" and a \\ in it',
                "parameters": [
                    {"name": "from", "in": "query", "schema": {"type": "string", "format": "date-time"}},
                    {"name": "X-Trace", "in": "header", "required": True, "schema": {"type": "string"}},
                ],
                "responses": {
                    "200": {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/Leaf"}}}}
                },
            },
            "put": {
                "operationId": "put_leaf",
                "tags": ["Odd trees"],
                "requestBody": {
                    "required": True,
                    "content": {"image/png": {"schema": {"type": "string", "format": "binary"}}},
                },
                "responses": {"204": {"description": "nothing"}},
            },
        },
        "/trees": {
            "post": {
                "operationId": "plant",
                "tags": ["Odd trees"],
                "requestBody": {
                    "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Tree-Input"}}}
                },
                "responses": {
                    "201": {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/Tree-Output"}}}}
                },
            },
            "get": {
                "operationId": "list_trees",
                "tags": ["other"],
                "parameters": [{"name": "cursor", "in": "query", "schema": {"type": "string"}}],
                "responses": {
                    "200": {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/Page_Tree_"}}}}
                },
            },
        },
        "/picture": {"get": {"operationId": "picture", "responses": {"200": {"content": {"image/png": {}}}}}},
        "/text": {"get": {"operationId": "text", "responses": {"200": {"content": {"text/plain": {}}}}}},
        "/names": {
            "get": {
                "operationId": "names",
                "responses": {
                    "200": {"content": {"application/json": {"schema": {"type": "array", "items": {"type": "string"}}}}}
                },
            }
        },
        "/events": {"get": {"operationId": "events", "responses": {"200": {"content": {"text/event-stream": {}}}}}},
    },
    "components": {
        "schemas": {
            "Leaf": {
                "type": "object",
                "description": "A leaf.\n\nIt is green.",
                "required": ["class", "pass@k", "kind"],
                "properties": {
                    "class": {"type": "string"},
                    "pass@k": {"type": "number"},
                    "kind": {"const": "leaf"},
                    "colour": {"enum": ["green", "red"]},
                    "model_name": {"type": "string", "default": "oak"},
                    "json": {"type": ["string", "null"]},
                    "at": {"type": "string", "format": "date-time"},
                    "parts": {"type": "array", "items": {"type": "integer"}, "default": [1, 2]},
                    "pair": {"type": "array", "prefixItems": [{"type": "string"}, {"type": "integer"}]},
                    "notes": {"type": "object", "additionalProperties": {"type": "string"}, "default": {}},
                    "limits": {"type": "object", "default": {"a": 1}},
                    "anything": {},
                },
            },
            "Branch": {
                "type": "object",
                "required": ["kind"],
                "properties": {
                    "kind": {"const": "branch"},
                    "grows": {"type": "array", "items": {"$ref": "#/components/schemas/Growth"}},
                    "origin": {"anyOf": [{"$ref": "#/components/schemas/Branch"}, {"type": "null"}]},
                },
            },
            "Growth": {
                "oneOf": [{"$ref": "#/components/schemas/Leaf"}, {"$ref": "#/components/schemas/Branch"}],
                "discriminator": {"propertyName": "kind"},
            },
            "Tree-Input": {
                "type": "object",
                "required": ["name"],
                "properties": {"name": {"type": "string"}, "top": {"$ref": "#/components/schemas/Branch"}},
            },
            "Tree-Output": {
                "type": "object",
                "required": ["name", "top"],
                "properties": {"name": {"type": "string"}, "top": {"$ref": "#/components/schemas/Growth"}},
            },
            "Page_Tree_": {
                "type": "object",
                "required": ["data", "next"],
                "properties": {
                    "data": {"type": "array", "items": {"$ref": "#/components/schemas/Tree-Output"}},
                    "next": {"type": ["string", "null"]},
                },
            },
        }
    },
}


@pytest.fixture
def generated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    monkeypatch.syspath_prepend(str(tmp_path))
    document, render = import_module("client_generator.document"), import_module("client_generator.render")
    renderer = render.Renderer(document.read(AWKWARD))
    folder = tmp_path / "awkward_client"
    folder.mkdir()
    for name, text in {**renderer.files(), "models.py": renderer.public_models()}.items():
        (folder / name).write_text(text.replace("duologue.client._generated", "awkward_client"))
    found: dict[str, Any] = {}
    for path in sorted(folder.glob("*.py")):
        if path.stem != "__init__":
            found |= vars(import_module(f"awkward_client.{path.stem}"))
    yield found
    for name in [name for name in sys.modules if name.startswith(("awkward_client", "client_generator"))]:
        del sys.modules[name]


def test_awkward_answers_are_read(generated: dict[str, Any]):
    leaf = {"class": "c", "pass@k": 0.5, "kind": "leaf", "json": "j", "colour": "blue", "at": "2026-01-01T00:00:00Z"}
    tree = generated["Tree"].model_validate({"name": "a", "top": {"kind": "branch", "grows": [leaf], "origin": None}})
    [found] = tree.top.grows
    assert (found.class_, found.pass_k, found.json_, found.colour, found.model_name_) == ("c", 0.5, "j", "blue", "oak")
    assert (found.parts, found.notes, found.limits, found.pair) == ((1, 2), {}, {"a": 1}, None)
    assert found.at.year == 2026
    assert found.model_dump(by_alias=True)["pass@k"] == 0.5
    newer = generated["Tree"].model_validate({"name": "a", "top": {"kind": "root", "depth": 3}})
    assert newer.top == {"kind": "root", "depth": 3}, "a newer service may know more"


async def test_awkward_operations_are_requests(generated: dict[str, Any]):
    asked: list[Any] = []

    class Recording(generated["AsyncOperations"]):
        def __init__(self) -> None:
            pass

        async def _send(self, request: Any, wanted: Any) -> Any:
            asked.append((request, wanted))

        def _events(self, request: Any, last_event_id: Any) -> Any:
            asked.append((request, last_event_id))

    client = Recording()
    await client.get_leaf("a/b", 7, x_trace="t")
    await client.put_leaf("a", 1, body=b"png")
    await client.plant(name="oak", top={"kind": "branch"})
    await client.picture()
    await client.text()
    await client.names()
    client.events(last_event_id="5")
    addresses = [(request.method, request.address(None), wanted) for request, wanted in asked]
    assert addresses == [
        ("GET", "/trees/a%2Fb/leaves/7", generated["Leaf"]),
        ("PUT", "/trees/a/leaves/1", None),
        ("POST", "/trees", generated["Tree"]),
        ("GET", "/picture", bytes),
        ("GET", "/text", str),
        ("GET", "/names", tuple[str, ...]),
        ("GET", "/events", "5"),
    ]
    assert asked[0][0].headers == {"X-Trace": "t"}
    assert asked[1][0].media_type == "image/png"
    assert asked[2][0].body == {"name": "oak", "top": {"kind": "branch"}}
    assert asked[2][0].keyed
    assert "has '''quotes'''" in client.get_leaf.__doc__


def test_the_same_document_gives_the_same_code(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    document, render = import_module("client_generator.document"), import_module("client_generator.render")
    first, second = (render.Renderer(document.read(AWKWARD)).files() for _ in range(2))
    assert first == second


def test_a_group_with_much_in_it_is_several_files(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    document, render = import_module("client_generator.document"), import_module("client_generator.render")
    operation = AWKWARD["paths"]["/text"]["get"]
    paths = {f"/{number}": {"get": {**operation, "operationId": f"text_{number}"}} for number in range(300)}
    files = render.Renderer(document.read({**AWKWARD, "paths": paths})).files()
    assert "service_async_2.py" in files
    assert max(len(text.splitlines()) for text in files.values()) <= 500
