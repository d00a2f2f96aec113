"""Whether the scenarios of a suite can tell a good agent from a bad one."""
