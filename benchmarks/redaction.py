"""How long it takes to take the secrets out of an error of any length, in the time that reading it once takes.

    python benchmarks/redaction.py

The ratio must not grow with the length of the error, nor with the number of secrets that the process knows by more than
that number.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from duologue.config.redaction import redacted
from duologue.journal.events import ErrorInfo
from duologue.secret_values import hidden, remember

LINE = '{"status": 500, "token_count": 5, "detail": "the kitchen is closed", "password": "is wrong"}, '
SECRETS = 50


def seconds(work: Callable[[], object]) -> float:
    """The shortest of some attempts."""
    found: list[float] = []
    for _ in range(5):
        began = time.process_time()
        work()
        found.append(time.process_time() - began)
    return min(found)


def main() -> None:
    """Print a line for each length."""
    remember(*(f"sk-secret-{number}-abcdefghijklmnop" for number in range(SECRETS)))
    print(f"{'characters':>12}{'hidden':>10}{'redacted':>10}{'ErrorInfo':>11}   times as long as reading the text once")
    for length in (10_000, 100_000, 1_000_000, 5_000_000):
        text = LINE * (length // len(LINE))
        error = RuntimeError(text)
        read = seconds(text.casefold)
        ratios = [
            seconds(work) / read
            for work in (lambda: hidden(text), lambda: redacted(text), lambda: ErrorInfo.of(error))  # noqa: B023
        ]
        print(f"{len(text):>12,}{ratios[0]:>10.1f}{ratios[1]:>10.1f}{ratios[2]:>11.1f}")


if __name__ == "__main__":
    main()
