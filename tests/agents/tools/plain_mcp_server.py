"""An MCP server on stdio without any library: starts at once, and speaks the protocol of 2025-06-18 only."""

import json
import os
import sys
from pathlib import Path
from typing import Any

NUMBERS = {"type": "object", "properties": {"a": {"type": "integer"}, "b": {"type": "integer"}}, "required": ["a", "b"]}
TOOLS = [
    {"name": "add", "description": "Adds two numbers.", "inputSchema": NUMBERS},
    {"name": "greet", "description": "Says hello.", "inputSchema": {"type": "object"}},
    *({"name": name, "inputSchema": {"type": "object"}} for name in ("environment", "fail", "die", "slow", "picture")),
]


def text(value: Any) -> dict[str, Any]:
    return {"content": [{"type": "text", "text": value if isinstance(value, str) else json.dumps(value)}]}


def called(name: str, given: dict[str, Any]) -> dict[str, Any]:
    if name == "add":
        return text({"sum": given["a"] + given["b"]})
    if name == "greet":
        return text(f"Hello, {given['name']}!")
    if name == "environment":
        found = {variable: os.environ.get(variable) for variable in given["names"]}
        return text({**found, "cwd": str(Path.cwd()), "pid": str(os.getpid())})
    if name == "picture":
        return {"content": [{"type": "image", "data": "iVBORw==", "mimeType": "image/png"}]}
    return {**text("Error executing tool fail: the shelf is empty"), "isError": True}


def answered(asked: dict[str, Any]) -> dict[str, Any]:
    method, params = asked["method"], asked.get("params", {})
    if method == "initialize":
        info = {"name": "plain", "version": "1"}
        return {"result": {"protocolVersion": "2025-06-18", "capabilities": {"tools": {}}, "serverInfo": info}}
    if method == "tools/list":
        # Two pages: whoever reads only the first misses some.
        if params.get("cursor") == "rest":
            return {"result": {"tools": TOOLS[2:]}}
        return {"result": {"tools": TOOLS[:2], "nextCursor": "rest"}}
    if method == "tools/call":
        return {"result": called(params["name"], params.get("arguments", {}))}
    return {"error": {"code": -32601, "message": f"no method {method}"}}


for line in sys.stdin:
    asked = json.loads(line)
    if "id" not in asked:
        continue
    wanted = asked.get("params", {}).get("name")
    if wanted == "die":
        print("i am dying", file=sys.stderr, flush=True)
        os._exit(3)
    if wanted == "slow":
        continue  # for ever
    print(json.dumps({"jsonrpc": "2.0", "id": asked["id"], **answered(asked)}), flush=True)
