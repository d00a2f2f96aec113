"""Runtimes with which agent and user speak: each makes the adapter of one transport, and no more."""
