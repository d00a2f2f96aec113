# The suite is run as its own session, by test_scenario_suite.py.
collect_ignore = ["scenario_suite"]
