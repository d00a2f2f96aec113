"""The result of an execution: runs, their groups, and the one verdict that every report and exit code is made from."""
