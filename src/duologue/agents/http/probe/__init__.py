"""Finds out how an unknown agent behind a URL is asked: two turns, in one format after the other until one works."""

from __future__ import annotations

from duologue.agents.http.probe._probe import MAX_REQUESTS, Probe, ProbeError, Prober, Questions
from duologue.agents.http.probe._requests import Way
from duologue.agents.http.probe._turn import Exchange

__all__ = ["MAX_REQUESTS", "Exchange", "Probe", "ProbeError", "Prober", "Questions", "Way"]
