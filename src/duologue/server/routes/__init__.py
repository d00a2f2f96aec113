"""The operations of the API, one file for each group of resources. A new group is one line here."""

from __future__ import annotations

from duologue.server.routes import about, personas

ROUTERS = (
    about.routes,
    personas.routes,
)
"""All groups, in the order of the OpenAPI document."""
