"""Some nights of the same suite, as folders of results."""

from __future__ import annotations

from datetime import timedelta

import sample_executions as samples

from duologue.runs.store.folder import write_execution


def nightly(folder, count=3):
    """Some nights of the same suite; every second one is worse."""
    hotel = samples.hotel()
    for number in range(count):
        better = tuple(samples.run_of(run.case) if run.outcome == "fail" else run for run in hotel.runs)
        execution = samples.replace(
            hotel,
            id=f"exec_{number}",
            runs=hotel.runs if number % 2 else better,
            started_at=samples.STARTED + timedelta(days=number),
            environment={"duologue": "1", "commit": f"c0ffee{number}"},
        )
        write_execution(execution, folder / "nightly" / f"night-{number}")
