"""Events of executions and runs as server-sent events."""
