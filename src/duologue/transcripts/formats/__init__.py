"""Formats of recordings, one family a module; registered in the entry point group ``duologue.recording_formats``."""
