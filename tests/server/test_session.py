"""Signing in to the web pages: the cookie, and that no other page can use it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from api_service import Service, open_service

OWN = {"Origin": "http://localhost"}


@pytest.fixture
async def browser(service: Service) -> AsyncIterator[httpx.AsyncClient]:
    """Keeps cookies, and has no token of its own."""
    transport = httpx.ASGITransport(app=service.app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        yield client


async def test_a_token_is_posted_once_and_kept_where_no_script_reads_it(
    service: Service, browser: httpx.AsyncClient
) -> None:
    token = service.tokens["run", "shop"]
    assert (await browser.get("/api/pages/session")).json() == {"token_required": True, "signed_in": False}
    assert (await browser.get("/api/v1/personas")).status_code == 401
    answered = await browser.post("/api/pages/session", json={"token": f" {token}\n"}, headers=OWN)
    assert answered.json()["scope"] == "run"
    assert answered.json()["projects"] == [{"id": service.shop.id, "name": "shop"}]
    assert answered.headers["cache-control"] == "no-store"
    cookie = answered.headers["set-cookie"].lower()
    assert all(part in cookie for part in ("httponly", "samesite=strict", "path=/"))
    assert "secure" not in cookie.replace("samesite", "")
    assert (await browser.get("/api/v1/personas")).status_code == 200
    assert (await browser.get("/api/pages/session")).json()["name"] == "run-shop"
    gone = await browser.request("DELETE", "/api/pages/session", headers=OWN)
    assert gone.status_code == 204
    assert (await browser.get("/api/v1/personas")).status_code == 401


async def test_a_cookie_over_tls_is_sent_over_tls_only(service: Service) -> None:
    transport = httpx.ASGITransport(app=service.app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="https://duologue.example.com") as client:
        sent = {"token": service.tokens["read", "shop"]}
        answered = await client.post(
            "/api/pages/session", json=sent, headers={"Origin": "https://duologue.example.com"}
        )
    assert answered.status_code == 200
    assert "; secure" in answered.headers["set-cookie"].lower()


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        (OWN, 201),
        ({"Sec-Fetch-Site": "same-origin"}, 201),
        ({}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "http://localhost:3000"}, 403),
        ({"Origin": "http://localhost.evil.example"}, 403),
        ({"Origin": "data://localhost"}, 403),
        ({"Origin": "ftp://localhost"}, 403),
        ({"Origin": "http://[oops"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "none"}, 403),
        ({"Origin": "https://evil.example", "Sec-Fetch-Site": "same-origin"}, 403),
    ],
)
async def test_only_own_pages_change_something_with_the_cookie(
    service: Service, browser: httpx.AsyncClient, headers: dict[str, str], status: int
) -> None:
    await browser.post("/api/pages/session", json={"token": service.tokens["run", "shop"]}, headers=OWN)
    made = await browser.post("/api/v1/personas", json={"name": "somebody"}, headers=headers)
    assert made.status_code == status, made.text
    assert (await browser.post("/api/pages/session", json={"token": "duo_x"}, headers=headers)).status_code in {
        401,
        403,
    }
    signed_out = await browser.request("DELETE", "/api/pages/session", headers=headers)
    assert signed_out.status_code == (204 if status == 201 else 403)


async def test_a_header_counts_more_than_the_cookie(service: Service, browser: httpx.AsyncClient) -> None:
    await browser.post("/api/pages/session", json={"token": service.tokens["read", "shop"]}, headers=OWN)
    bearer = {"Authorization": f"Bearer {service.tokens['run', 'shop']}"}
    assert (await browser.post("/api/v1/personas", json={"name": "p"}, headers=bearer)).status_code == 201
    assert (await browser.post("/api/v1/personas", json={"name": "q"}, headers=OWN)).status_code == 403  # it is read


@pytest.mark.parametrize(
    ("body", "status", "path"),
    [({}, 422, "token"), ({"token": ""}, 422, "token"), ({"token": "duo_unknown"}, 401, None), ({"x": 1}, 422, "x")],
)
async def test_nobody_signs_in_without_a_valid_token(
    browser: httpx.AsyncClient, body: dict[str, str], status: int, path: str | None
) -> None:
    answered = await browser.post("/api/pages/session", json=body, headers=OWN)
    assert answered.status_code == status
    assert "set-cookie" not in answered.headers
    if path is not None:
        assert path in [item["path"] for item in answered.json()["problems"]]


async def test_a_revoked_token_opens_nothing(service: Service, browser: httpx.AsyncClient) -> None:
    token, made = await service.state.tokens.create_token("soon-gone", "read", project_id=service.shop.id)
    await browser.post("/api/pages/session", json={"token": token}, headers=OWN)
    assert (await browser.get("/api/v1/personas")).status_code == 200
    await service.state.tokens.revoke_token(made.id)
    assert (await browser.get("/api/v1/personas")).status_code == 401
    assert (await browser.get("/api/pages/session")).json() == {"token_required": True, "signed_in": False}


async def test_services_on_other_ports_of_a_host_have_cookies_of_their_own(service: Service) -> None:
    transport = httpx.ASGITransport(app=service.app, raise_app_exceptions=False)
    names: list[str] = []
    for host in ("localhost:8642", "localhost:8643", "[::1]:8642", "[::1]", "localhost"):
        async with httpx.AsyncClient(transport=transport, base_url=f"http://{host}") as client:
            sent = {"token": service.tokens["read", "shop"]}
            answered = await client.post("/api/pages/session", json=sent, headers={"Origin": f"http://{host}"})
            names.append(answered.headers["set-cookie"].partition("=")[0])
    assert names == [
        "duologue_token_8642",
        "duologue_token_8643",
        "duologue_token_8642",
        "duologue_token",
        "duologue_token",
    ]


async def test_without_tokens_nobody_signs_in(store: Path) -> None:
    async with open_service(store, token_required=False) as service:
        transport = httpx.ASGITransport(app=service.app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            assert (await client.get("/api/pages/session")).json() == {
                "token_required": False,
                "signed_in": True,
                "scope": "admin",
                "name": None,
                "projects": [{"id": item.id, "name": item.name} for item in (service.shop, service.bank)],
            }
