"""The service in the process of a test, with clients for tokens of every kind."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from fastapi import FastAPI

from duologue.runs.store.database.engine import Database
from duologue.runs.store.definitions import Project
from duologue.runs.tokens import TokenScope
from duologue.server import ServerSettings, create_app
from duologue.server.state import ServerState

EVERY = "every"
"""Stands for tokens that open all projects."""


@dataclass(kw_only=True)
class Service:
    """An application that is open, with the projects ``shop`` and ``bank``."""

    app: FastAPI
    shop: Project
    bank: Project
    tokens: dict[tuple[str, str], str] = field(default_factory=dict)
    clients: dict[tuple[str, str], httpx.AsyncClient] = field(default_factory=dict)

    @property
    def state(self) -> ServerState:
        return self.app.state.shared

    @property
    def database(self) -> Database:
        return self.state.database

    def client(self, scope: str = "admin", project: str = "shop") -> httpx.AsyncClient:
        """A client with a token of that scope for ``shop``, ``bank`` or ``every`` project; with none for ``''``."""
        return self.clients[scope, project]


@asynccontextmanager
async def open_service(store: Path, **settings: Any) -> AsyncIterator[Service]:
    """A service on a database that has tables and nothing in them."""
    app = create_app(ServerSettings(**{"store": store, "token_required": True, **settings}))
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(app.router.lifespan_context(app))
        state: ServerState = app.state.shared
        shop, bank = [await state.definitions.create_project(name) for name in ("shop", "bank")]
        service = Service(app=app, shop=shop, bank=bank)
        for project, id_ in (("shop", shop.id), ("bank", bank.id), (EVERY, None)):
            for scope in ("", *map(str, TokenScope)):
                headers: dict[str, str] = {}
                if scope:
                    token, _ = await state.tokens.create_token(f"{scope}-{project}", scope, project_id=id_)
                    service.tokens[scope, project] = token
                    headers["Authorization"] = f"Bearer {token}"
                client = httpx.AsyncClient(
                    transport=httpx.ASGITransport(app=app, raise_app_exceptions=False),
                    base_url="http://localhost/api/v1",
                    headers=headers,
                )
                service.clients[scope, project] = await stack.enter_async_context(client)
        yield service
