"""The operations of the API, one file for each group of resources. A new group is one line here."""

from __future__ import annotations

from duologue.server.routes import (
    about,
    agents,
    checks,
    comparisons,
    connectors,
    evals,
    events,
    executions,
    labels,
    metrics,
    personas,
    projects,
    records,
    runs,
    runtimes,
    scenarios,
    schedules,
    secrets,
    suites,
    tokens,
    workers,
)

ROUTERS = (
    about.routes,
    projects.routes,
    personas.routes,
    scenarios.routes,
    connectors.routes,
    agents.routes,
    runtimes.routes,
    evals.routes,
    suites.routes,
    schedules.routes,
    metrics.routes,
    checks.routes,
    secrets.routes,
    tokens.routes,
    executions.routes,
    runs.routes,
    records.routes,
    labels.routes,
    comparisons.routes,
    workers.routes,
    events.routes,
)
"""All groups, in the order of the OpenAPI document."""
