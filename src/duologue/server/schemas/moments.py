"""Instants in bodies of requests."""

from __future__ import annotations

from typing import Annotated

from pydantic import AwareDatetime, Strict

Moment = Annotated[AwareDatetime, Strict(False)]
"""A text of ISO 8601 with a time zone, such as ``2026-01-31T12:00:00Z``, or seconds since 1970."""
