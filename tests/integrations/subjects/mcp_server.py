"""The tools of a shop as an MCP server, for either version of the library."""

try:
    from mcp.server.fastmcp import FastMCP as Server
except ImportError:
    from mcp.server import MCPServer as Server

server = Server("shop")


@server.tool()
def find_order(number: str) -> str:
    """Look an order up."""
    return f"Order {number} is on its way"


@server.tool()
def refund_order(number: str) -> str:
    """Refund an order."""
    return f"Order {number} is refunded"


if __name__ == "__main__":
    server.run()
