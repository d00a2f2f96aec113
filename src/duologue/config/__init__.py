"""Text to data that knows where it is written: reading YAML and JSON, positions, and problems found on the way."""
