"""A client of the Duologue service, asynchronous or blocking.

::

    from duologue.client import Client

    with Client("https://duologue.example.com", project="shop") as client:
        for run in client.list_runs(status="error"):
            print(run.id, run.error)

Its methods and models are generated from the OpenAPI document of the service: one method for each operation. Lists are
read page by page as they are iterated over. A stream of events is continued where a connection breaks. What the service
refuses is a :class:`~duologue.errors.ServiceError`.
"""

from __future__ import annotations

from duologue.client._async import AsyncPages, PageAnswer
from duologue.client._clients import AsyncClient, Client
from duologue.client._events import ServiceEvent
from duologue.client._sync import Pages

__all__ = ["AsyncClient", "AsyncPages", "Client", "PageAnswer", "Pages", "ServiceEvent"]
