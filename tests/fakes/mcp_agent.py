"""An MCP server without any library, one of whose tools is an agent that behaves as the first argument says."""

import json
import os
import sys
from typing import Any

mode = sys.argv[1]
TOOLS = [{"name": "ask", "inputSchema": {"type": "object"}}, {"name": "other", "inputSchema": {"type": "object"}}]


def text(value: Any) -> dict[str, Any]:
    return {"content": [{"type": "text", "text": value if isinstance(value, str) else json.dumps(value)}]}


def called(given: dict[str, Any]) -> dict[str, Any]:
    if mode == "fails":
        return {**text("the kitchen is on fire"), "isError": True}
    if mode == "empty":
        return text("")
    if mode == "silent":
        return {"content": []}
    if mode == "data":
        return text({"reply": f"You said {given['message']}."})
    if mode == "wordless":
        return text({"status": {"code": 1}})
    if mode == "arguments":
        return text({"reply": json.dumps(given)})
    if mode == "environment":
        return text({"reply": " ".join(sorted(os.environ))})
    return text(f"You said {given['message']}.")


for line in sys.stdin:
    asked = json.loads(line)
    if "id" not in asked:
        continue
    method = asked["method"]
    if method == "initialize":
        info = {"name": "agent", "version": "1"}
        result: dict[str, Any] = {"protocolVersion": "2025-06-18", "capabilities": {"tools": {}}, "serverInfo": info}
    elif method == "tools/list":
        result = {"tools": TOOLS}
    elif method != "tools/call":
        error = {"code": -32601, "message": f"no method {method}"}
        print(json.dumps({"jsonrpc": "2.0", "id": asked["id"], "error": error}), flush=True)
        continue
    elif mode == "dies":
        print("i am dying", file=sys.stderr, flush=True)
        os._exit(3)
    elif mode == "hangs":
        continue
    elif mode == "endless":
        while True:
            sys.stdout.write("a" * 65536)
    else:
        result = called(asked["params"].get("arguments", {}))
    print(json.dumps({"jsonrpc": "2.0", "id": asked["id"], "result": result}), flush=True)
