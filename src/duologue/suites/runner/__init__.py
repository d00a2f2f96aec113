"""One test case: who takes part, what the script does, which checks are asked, and what came of it."""
