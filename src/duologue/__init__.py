"""Rehearse AI agents."""
