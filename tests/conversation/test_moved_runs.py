"""A run that moves from a blocked thread to another, and back: it is played once."""

from __future__ import annotations

import asyncio
import contextvars
import threading

from waiting import wait_until

from duologue.conversation.threads import RunHandle, _Worker


def test_a_run_that_comes_back_to_a_thread_that_it_has_left_is_played_once():
    free = threading.Event()
    worker = _Worker(lambda _: None)
    plays = [0]

    async def play() -> bool:
        plays[0] += 1
        await asyncio.sleep(0)  # the other task of the run, if there is one, has its turn
        return handle in worker.handles

    handle: RunHandle[bool] = RunHandle(play, contextvars.copy_context())
    held = threading.Event()

    def begin_and_block() -> None:
        handle.begin(worker)
        held.set()
        free.wait()

    handle.put_on(worker, 0.0)
    worker.loop.call_soon_threadsafe(begin_and_block)
    held.wait()
    assert handle.task is not None  # it is about to begin
    assert handle.leave(worker)
    handle.put_on(worker, 1.0)
    worker.loop.call_soon_threadsafe(handle.begin, worker)
    free.set()
    assert handle.future.result() is True  # and its thread knows of it all the time
    assert plays == [1]
    wait_until(lambda: not worker.handles)
    worker.loop.call_soon_threadsafe(worker.end)
    worker.thread.join()


def test_a_run_that_has_left_for_another_thread_is_played_there_and_nowhere_else():
    first, second = _Worker(lambda _: None), _Worker(lambda _: None)
    free, held = threading.Event(), threading.Event()
    threads: list[threading.Thread] = []

    async def play() -> None:
        threads.append(threading.current_thread())

    def begin_and_block() -> None:
        handle.begin(first)
        held.set()
        free.wait()

    handle: RunHandle[None] = RunHandle(play, contextvars.copy_context())
    handle.put_on(first, 0.0)
    first.loop.call_soon_threadsafe(begin_and_block)
    held.wait()
    assert handle.leave(first)
    handle.put_on(second, 1.0)
    second.loop.call_soon_threadsafe(handle.begin, second)
    handle.future.result()
    free.set()
    wait_until(lambda: not first.handles)
    for worker in (first, second):
        worker.loop.call_soon_threadsafe(worker.end)
        worker.thread.join()
    assert threads == [second.thread]
