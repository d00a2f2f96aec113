"""One test case: who takes part, what the script does, which checks are evaluated, and the result."""
