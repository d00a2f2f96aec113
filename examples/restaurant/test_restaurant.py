"""Rehearse a booking assistant through its URL."""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

import duologue
from duologue.agents.http.agent import HttpAgent
from duologue.demo.restaurant.server import RestaurantServer
from duologue.demo.scenarios import SCENARIOS, TODAY, fetch_book

PLAIN, _, _, CHANGE_OF_MIND, _ = SCENARIOS


class Guest(duologue.AgentAdapter):
    """Says its lines one after the other."""

    role = duologue.AgentRole.USER

    def __init__(self, *lines: str) -> None:
        self._lines = iter(lines)

    async def call(self, input: duologue.AgentInput) -> str:
        return next(self._lines)


@pytest.fixture
def url() -> Iterator[str]:
    with RestaurantServer(TODAY, isolated=True) as server:
        yield server.url


def rehearse(url: str, *lines: str) -> tuple[Any, list[dict[str, Any]]]:
    """Say these lines; returns what happened and the restaurant's book afterwards."""

    async def run() -> tuple[Any, list[dict[str, Any]]]:
        async with HttpAgent(url) as agent:
            result = await duologue.arun(
                name="booking",
                description="A guest wants a table.",
                agents=[Guest(*lines), agent],
                script=[duologue.proceed(turns=len(lines)), duologue.succeed()],
            )
        return result, await fetch_book(url, result.thread_id or "")

    return asyncio.run(run())


def test_a_plain_booking(url: str):
    result, book = rehearse(url, *PLAIN.lines, "half past seven", "four of us", "Anna Berg", "yes, please")
    assert result.success
    PLAIN.book_checks[0](book)


@pytest.mark.xfail(reason="a changed party size is booked wrongly", raises=AssertionError, strict=True)
def test_a_change_of_mind(url: str):
    result, book = rehearse(url, *CHANGE_OF_MIND.lines, "yes, please")
    assert result.success
    CHANGE_OF_MIND.book_checks[0](book)
