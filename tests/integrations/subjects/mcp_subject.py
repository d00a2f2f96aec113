"""The support of a shop with a loop of its own and the tools of an MCP server."""

import importlib.util
import json
import os
import sys
from pathlib import Path

import mcp
from mcp import StdioServerParameters
from openai import AsyncOpenAI

from duologue.integrations import MCP

client = AsyncOpenAI(base_url=os.environ["SUPPORT_MODEL_URL"], api_key="x", max_retries=0)
path = Path(__file__).with_name("mcp_server.py")
program = StdioServerParameters(command=sys.executable, args=[str(path)])


def server_object():
    """The server itself, where the library can connect to one of this process: a program takes a second to start."""
    spec = importlib.util.spec_from_file_location("mcp_server", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.server


server = server_object() if hasattr(mcp, "Client") else program


def answer_with(model):
    async def answer(messages, session):
        tools = [
            {"name": tool.name, "parameters": getattr(tool, "input_schema", None) or tool.inputSchema}
            for tool in (await session.list_tools()).tools
        ]
        offered = [{"type": "function", "function": tool} for tool in tools]
        new = []
        while True:
            told = [item.choices[0].message if hasattr(item, "choices") else item for item in new]
            response = await client.chat.completions.create(model=model, tools=offered, messages=[*messages, *told])
            new.append(response)
            calls = response.choices[0].message.tool_calls or []
            for call in calls:
                result = await session.call_tool(call.function.name, json.loads(call.function.arguments))
                new.append({"role": "tool", "tool_call_id": call.id, "content": result.content[0].text})
            if not calls:
                return new

    return answer


AGENT = MCP(answer_with("gpt-5-mini"), servers=[server])
DOWN = MCP(answer_with("down"), servers=[server])
FACTORY = MCP(lambda: client, model="gpt-5-mini", servers=[server])
PROGRAM = MCP(answer_with("gpt-5-mini"), servers=[program])
