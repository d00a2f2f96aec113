"""Fetches the calls of a source: page by page, the newest first, and never one twice.

Lists of platforms begin with the newest call, so what is still to be fetched is a range of time, a *gap*: first from
the newest call that is here to now, then what earlier times have left. Each page is stored in one transaction with the
gap as it is after it. A process that is killed between two pages therefore loses nothing: the next one continues
where the last page ended, and calls that are here already are recognised by their ids.

Calls that are not over are left out and asked for again: the next gap begins with the oldest of them.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from typing import Any

from duologue.config.redaction import redacted, remember_headers, remember_url
from duologue.context import Clock
from duologue.errors import ConfigurationError, PlatformError
from duologue.frozen import changed, frozen
from duologue.http import ForbiddenAddressError, HttpClients, HttpError, HttpRequest, ResponseRefusedError, retry_after
from duologue.runs.platforms import PAGE, ApiRequest, CallPlatform, Page
from duologue.runs.store.calls import CallSource, FetchedSoFar, Gap, PlatformCall, PulledCalls
from duologue.runs.store.database.calls import Calls

MOST_PAGES = 20
"""Pages of 100 calls that are fetched at once."""
_OVERLAP = 60.0
"""Seconds before the newest known call that are asked for again: lists of platforms may be late."""
_PATIENCE = 90.0
"""Seconds that one page may take, with all waiting for a platform that is busy."""
_SECONDS = 30.0
"""That one request may take."""
_LARGEST = 64 * 1024 * 1024
_AT_ONCE = 4
"""Calls whose transcripts are asked for at the same time."""
_MOST_GAPS = 20
_MOST_PROBLEMS = 20
_BUSY = frozenset({408, 425, 429, 500, 502, 503, 504, 529})
_SHOWN = 200


class _NotThereError(PlatformError):
    """What was asked for does not exist at the platform."""


@frozen
class PlatformApi:
    """Where the API of a platform is, and how it is asked.

    Attributes:
        headers: with the key.
    """

    platform: CallPlatform
    url: str
    headers: dict[str, str]
    clients: HttpClients
    clock: Clock

    async def ask(self, request: ApiRequest) -> object:
        """What the API answers, asked again as long as it is busy and the patience lasts.

        Raises:
            PlatformError: there is no answer, or it is no JSON.
            ConfigurationError: the key was refused, or the URL cannot be used.
        """
        name, began, pause = self.platform.NAME, self.clock.monotonic(), 1.0
        sent = HttpRequest(
            url=self.url.rstrip("/") + request.path,
            method=request.method,
            headers=self.headers,
            json=request.json,
            timeout=_SECONDS,
            max_bytes=_LARGEST,
        )
        while True:
            wait: float | None = None
            try:
                async with self.clients.send(sent) as response:
                    if response.ok:
                        return _json(await response.text(), name)
                    status, text = response.status, redacted(await response.excerpt(_SHOWN))[:_SHOWN]
                    wait = retry_after(response.headers, self.clock.now())
            except ForbiddenAddressError as error:
                told = f"{error}; set allow_private_addresses of the source if its API is meant to be there"
                raise ConfigurationError(f"{name}: {redacted(told)}") from error
            except ResponseRefusedError as error:
                raise PlatformError(f"{name}: {redacted(str(error))}") from error
            except HttpError as error:
                status, text = None, redacted(str(error))
            if status in {401, 403}:
                raise ConfigurationError(f"{name} refused the key of its API (HTTP {status}): {text}")
            told = text if status is None else f"HTTP {status}: {text}"
            if status is not None and status not in _BUSY:
                asked = f"{name} answered {request.method} {request.path.partition('?')[0]}: {told}"
                raise _NotThereError(asked) if status in {404, 410} else PlatformError(asked)
            wait = pause if wait is None else wait
            if self.clock.monotonic() - began + wait > _PATIENCE:
                raise PlatformError(f"{name} did not answer within {_PATIENCE:g} s; the last answer: {told}")
            await self.clock.sleep(wait)
            pause = min(pause * 2, 20.0)


class CallPull:
    """Fetches the calls of one source once.

    Args:
        store: where they go.
        source: whose calls.
        api: of its platform.
        pages: at most so many.
    """

    def __init__(self, store: Calls, source: CallSource, api: PlatformApi, *, pages: int = MOST_PAGES) -> None:
        self._store, self._source, self._api = store, source, api
        self._left = pages
        self._pages = self._new = self._known = self._under_way = 0
        self._problems: list[str] = []
        self._so_far = source.so_far
        self._now = api.clock.now()

    async def run(self) -> PulledCalls:
        """Fetch until nothing is left, or the pages are used up.

        Raises:
            PlatformError, ConfigurationError: as :meth:`PlatformApi.ask`. What was stored until then stays.
            NotFoundError: the source was deleted meanwhile.
        """
        self._so_far = _with_new_gap(self._so_far, self._source.spec.since)
        while self._left > 0 and self._so_far.gaps:
            await self._fill(self._so_far.gaps[0])
        sources = await self._store.list_sources(self._source.project_id, source_id=self._source.id)
        return PulledCalls(
            source=sources[0] if sources else changed(self._source, so_far=self._so_far),
            new=self._new,
            known=self._known,
            under_way=self._under_way,
            pages=self._pages,
            more=bool(self._so_far.gaps),
            problems=tuple(self._problems),
        )

    async def _fill(self, gap: Gap) -> None:
        """Fetch the calls of the first gap, as far as the pages last."""
        low, high, cursor = gap.low or None, gap.high, None
        while self._left > 0:
            page = await self._page(low, high, cursor)
            found = await self._all_details(self._read(page))
            is_last = not page.more or not page.items
            reached = min((call.position for call in found if call.position is not None), default=high)
            if not is_last and page.cursor is None:
                stuck = reached is None or (high is not None and reached >= high)
                high = (high or self._now) - 0.001 if stuck else reached
                is_last = is_last or (low is not None and high is not None and high < low)
            kept = None if is_last else Gap(low=gap.low, high=reached if page.cursor else high)
            await self._keep(found, kept)
            if is_last:
                return
            cursor = page.cursor

    async def _page(self, low: float | None, high: float | None, cursor: str | None) -> Page:
        self._left -= 1
        self._pages += 1
        request = self._api.platform.page(self._source.platform_agent_id, low, high, cursor)
        return self._api.platform.read_page(await self._api.ask(request))

    def _read(self, page: Page) -> list[PlatformCall]:
        found: list[PlatformCall] = []
        for index, item in enumerate(page.items[: PAGE * 10]):
            try:
                found.append(self._api.platform.read_call(item))
            except ValueError as error:
                self._problem(f"call {index + 1} of page {self._pages} was left out: {error}")
        return found

    async def _all_details(self, found: Sequence[PlatformCall]) -> list[PlatformCall]:
        limit = asyncio.Semaphore(_AT_ONCE)

        async def one(call: PlatformCall) -> PlatformCall:
            async with limit:
                return await self._with_details(call)

        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(one(call)) for call in found]
        except BaseExceptionGroup as errors:  # the first tells enough; the others were cancelled or say the same
            raise errors.exceptions[0] from None
        return [task.result() for task in tasks]

    async def _with_details(self, call: PlatformCall) -> PlatformCall:
        request = self._api.platform.details(call) if call.is_over else None
        if request is None:
            return call
        try:
            detailed = self._api.platform.read_call(await self._api.ask(request))
        except (ValueError, _NotThereError) as error:
            self._problem(f"call {call.id} has no transcript: {error}")
            return call
        return changed(detailed, id=call.id, position=call.position)

    async def _keep(self, found: Sequence[PlatformCall], rest: Gap | None) -> None:
        """Store a page, with what is left of the first gap."""
        over = [call for call in found if call.is_over]
        waiting = [call for call in found if not call.is_over]
        self._under_way += len(waiting)
        still = [call.position for call in waiting if call.position and call.position > self._now - call.may_take]
        before = self._so_far
        so_far = FetchedSoFar(
            newest=_largest(before.newest, *(call.position for call in found)),
            under_way=_smallest(before.under_way, *still),
            gaps=(*(() if rest is None else (rest,)), *before.gaps[1:]),
        )
        new = await self._store.store_page(self._source, over, so_far, _watermark(so_far))
        self._so_far = so_far
        self._new += new
        self._known += len(over) - new

    def _problem(self, told: str) -> None:
        if len(self._problems) < _MOST_PROBLEMS:
            self._problems.append(redacted(told))


def _with_new_gap(so_far: FetchedSoFar, since: float | None) -> FetchedSoFar:
    """The same, with a gap from the newest call that is here to now; nothing is known to be under way then."""
    known = _smallest(so_far.newest, so_far.under_way)
    low = max(since or 0.0, (known - _OVERLAP) if known is not None else 0.0)
    gaps = [Gap(low=low), *so_far.gaps]
    while len(gaps) > _MOST_GAPS:  # the two oldest become one, and what is between them is asked for again
        *gaps, newer, older = gaps
        gaps.append(Gap(low=older.low, high=newer.high))
    return FetchedSoFar(newest=so_far.newest, under_way=None, gaps=tuple(gaps))


def _watermark(so_far: FetchedSoFar) -> float | None:
    """The time before which every call is here."""
    if so_far.gaps:
        return so_far.gaps[-1].low or None
    return _smallest(so_far.newest, so_far.under_way)


def _largest(*values: float | None) -> float | None:
    return max((value for value in values if value is not None), default=None)


def _smallest(*values: float | None) -> float | None:
    return min((value for value in values if value is not None), default=None)


def _json(text: str, name: str) -> object:
    try:
        found: Any = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise PlatformError(f"{name}: the answer is not JSON ({error})") from error
    return found


def api_of(platform: CallPlatform, key: str, url: str, clock: Clock, *, private: bool) -> PlatformApi:
    """The API of a platform.

    Args:
        platform: which.
        key: of the API.
        url: of the API.
        clock: for waiting.
        private: whether the URL may lead to loopback and private addresses.
    """
    headers = platform.headers(key)
    remember_url(url)
    remember_headers(headers)
    clients = _TRUSTING if private else _GUARDED
    return PlatformApi(platform=platform, url=url, headers=headers, clients=clients, clock=clock)


_TRUSTING = HttpClients()
_GUARDED = HttpClients(trust_private=False)
