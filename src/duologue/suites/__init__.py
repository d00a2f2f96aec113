"""Suites as files: manifests, what can be wrong with them, and the plan of what they run.

    from duologue import suites

    suite = suites.load("suite.yaml")
    plan = suites.generate_plan(suite)

What is written is read into one model, :class:`Suite`, whatever dialect the files are in. Running a plan is left to
others.
"""
