"""Text as data that knows its place: YAML, positions, problems.

Also one helper each for environment variables, durations, templates, entry points and atomic file writes.
"""
