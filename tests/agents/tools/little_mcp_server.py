"""A small MCP server for tests: ``server.py stdio`` or ``server.py http|sse PORT``."""

import os
import sys
from pathlib import Path

try:
    from mcp.server.mcpserver import Image, MCPServer
except ImportError:  # version 1 of the library
    from mcp.server.fastmcp import FastMCP as MCPServer
    from mcp.server.fastmcp import Image

server = MCPServer("little")


@server.tool(description="Adds two numbers.")
def add(a: int, b: int) -> dict[str, int]:
    return {"sum": a + b}


@server.tool()
def greet(name: str) -> str:
    """Says hello."""
    return f"Hello, {name}!"


@server.tool()
def environment(names: list[str]) -> dict[str, str | None]:
    return {**{name: os.environ.get(name) for name in names}, "cwd": str(Path.cwd()), "pid": str(os.getpid())}


@server.tool()
def fail() -> str:
    raise ValueError("the shelf is empty")


@server.tool()
def die() -> str:
    print("i am dying", file=sys.stderr, flush=True)
    os._exit(3)


@server.tool()
async def slow() -> str:
    import anyio

    await anyio.sleep(600)
    return "late"


@server.tool()
def picture() -> Image:
    return Image(data=b"\x89PNG", format="png")


if __name__ == "__main__":
    if sys.argv[1] == "stdio":
        server.run("stdio")
    else:
        import uvicorn

        app = server.streamable_http_app() if sys.argv[1] == "http" else server.sse_app()
        uvicorn.run(app, port=int(sys.argv[2]), log_level="warning")
