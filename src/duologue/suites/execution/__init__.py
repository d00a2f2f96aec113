"""Many test cases at once: the engine, its limits, what it tells observers, and how an execution is taken up again."""
