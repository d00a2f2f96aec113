"""The guide to the MCP server: its tools, resources and configuration are those of the code."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path
from typing import Any, cast

import pytest

pytest.importorskip("mcp", reason="needs the extra 'mcp'")

from duologue.cli.catalogue import COMMANDS
from duologue.mcp_server.answers import LONGEST_ANSWER
from duologue.mcp_server.server import LONGEST_WAIT, build
from duologue.mcp_server.workspace import Workspace

TEXT = (Path(__file__).parents[2] / "docs/guides/mcp-server.md").read_text("utf-8")


async def test_tools_and_resources_are_those_of_the_server():
    server: Any = build(cast("Workspace", None))
    tools = {tool.name for tool in await server.list_tools()}
    table = TEXT.partition("| tool |")[2].partition("\n\n")[0]
    assert set(re.findall(r"`(\w+)`", table)) == tools
    resources = {str(item.uri) for item in await server.list_resources()}
    for item in await server.list_resource_templates():
        resources.add(getattr(item, "uri_template", None) or item.uriTemplate)
    assert set(re.findall(r"`(duologue://[^`]+)`", TEXT)) == resources


def test_configurations_name_the_command():
    blocks = dict.fromkeys(re.findall(r"```(json|toml)\n(.*?)```", TEXT, re.DOTALL))
    assert len(blocks) == 4
    for language, block in blocks:
        found = json.loads(block) if language == "json" else tomllib.loads(block)
        [servers] = found.values()
        assert servers["duologue"]["command"] == "duologue"
        assert servers["duologue"]["args"][0] == "mcp"
    assert "mcp" in COMMANDS


def test_the_numbers_are_those_of_the_code():
    assert f"{LONGEST_ANSWER:,} characters" in TEXT
    assert LONGEST_WAIT == 600
    assert "at most ten minutes" in TEXT
