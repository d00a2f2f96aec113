"""An MCP server with which coding agents rehearse the agents that they work on (extra ``mcp``).

They list what is defined and what was run, run evals and suites, wait for them, have failures explained with the
messages that they rest on, compare executions and read transcripts. What a tool answers is bounded in size. Nothing can
be deleted, and nothing that may cost money runs without a limit that the caller has named.

The tools know a :class:`~duologue.mcp_server.workspace.Workspace`, of which there are two: a service, through its
client, and this machine with its results folders and its database.
"""
