"""The operations of the API, one file for each group of resources. A new group is one line here."""

from __future__ import annotations

from duologue.server.routes import about, comparisons, events, executions, labels, personas, records, runs, workers

ROUTERS = (
    about.routes,
    personas.routes,
    executions.routes,
    runs.routes,
    records.routes,
    labels.routes,
    comparisons.routes,
    workers.routes,
    events.routes,
)
"""All groups, in the order of the OpenAPI document."""
