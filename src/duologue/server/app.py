"""The application: its routes, the layer around them, and what is opened and closed with it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial

from fastapi import FastAPI

from duologue.runs.project_access import UsualPolicy
from duologue.runs.tokens import ApiTokens
from duologue.server.limits import RequestGuard
from duologue.server.openapi import document
from duologue.server.pages import ROUTERS as PAGES
from duologue.server.problems import answer_errors
from duologue.server.routes import ROUTERS
from duologue.server.settings import ServerSettings, opened_store
from duologue.server.state import ServerState
from duologue.version import __version__


def create_app(settings: ServerSettings | None = None) -> FastAPI:
    """The application, for any ASGI server that supports lifespans.

    Args:
        settings: how it is run.
    """
    chosen = settings or ServerSettings()
    app = FastAPI(
        title="Duologue",
        version=__version__,
        lifespan=partial(_opened, settings=chosen),
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    for router in (*ROUTERS, *PAGES):
        app.router.routes.extend(router.routes)
    app.openapi = partial(document, app)
    answer_errors(app)
    app.add_middleware(RequestGuard, settings=chosen)
    return app


@asynccontextmanager
async def _opened(app: FastAPI, *, settings: ServerSettings) -> AsyncGenerator[None]:
    async with AsyncExitStack() as stack:
        database = await stack.enter_async_context(opened_store(settings))
        required = settings.token_required
        if required is None:
            required = await ApiTokens(database).any_token()
        usual = UsualPolicy(
            variables=settings.allowed_variables,
            private_addresses=settings.allow_private_addresses,
            guarded=required,
            own_code=False,
        )
        state = ServerState(
            database=database,
            settings=settings,
            token_required=required,
            policy=await usual.of(database),
            stack=stack,
        )
        stack.push_async_callback(state.settled)
        stack.callback(state.feeds.close)
        stack.callback(asyncio.create_task(state.feeds.close_after(state.stopping)).cancel)
        stack.callback(state.stopping.set)
        app.state.shared = state
        yield
