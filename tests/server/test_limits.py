"""What surrounds every request: sizes, headers, hosts and origins, tokens and their end, and errors of every kind."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from api_service import Service, open_service
from listening_service import listening
from waiting import until

from duologue.runs.tokens import ApiTokens


@pytest.fixture
async def open_door(store: Path) -> AsyncIterator[Service]:
    """A service that requires no token."""
    async with open_service(store, token_required=False, hosts=("duologue.test",)) as opened:
        yield opened


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Host": "localhost"}, 200),
        ({"Host": "127.0.0.1:8642"}, 200),
        ({"Host": "[::1]:8642"}, 200),
        ({"Host": "duologue.test"}, 200),
        ({"Host": "evil.example"}, 421),
        ({"Host": "localhost.evil.example"}, 421),
        ({"Host": "127.0.0.1.evil.example:80"}, 421),
        ({"Host": "169.254.169.254"}, 421),
        ({"Host": ""}, 421),
        ({"Host": "localhost", "Origin": "http://localhost"}, 200),
        ({"Host": "localhost", "Origin": "http://localhost:3000"}, 403),
        ({"Host": "localhost", "Origin": "https://evil.example"}, 403),
        ({"Host": "localhost", "Origin": "null"}, 403),
        ({"Host": "localhost", "Origin": "http://["}, 403),
    ],
)
async def test_without_tokens_only_this_machine_is_answered(
    open_door: Service, headers: dict[str, str], status: int
) -> None:
    for method, path in (("GET", "/projects"), ("GET", "/health")):
        answer = await open_door.client("").request(method, path, headers=headers)
        assert answer.status_code == status, answer.text


async def test_a_form_of_another_page_changes_nothing(open_door: Service) -> None:
    client = open_door.client("")
    for headers in (
        {"Sec-Fetch-Site": "cross-site"},
        {"Content-Type": "text/plain"},
        {"Origin": "https://evil.example"},
    ):
        answer = await client.post("/projects", content='{"name": "theirs"}', headers=headers)
        assert answer.status_code in {403, 415}, answer.text
    assert "theirs" not in (await client.get("/projects")).text


async def test_with_tokens_any_host_is_answered(service: Service) -> None:
    answer = await service.client("read").get("/projects", headers={"Host": "duologue.example.com"})
    assert answer.status_code == 200


async def test_every_answer_protects_pages_and_has_an_id(service: Service) -> None:
    for path in ("/health", "/projects", "/nowhere", "/openapi.json"):
        answer = await service.client("read").get(path, headers={"X-Request-Id": "mine-1"})
        assert answer.headers["x-request-id"] == "mine-1"
        assert "default-src 'none'" in answer.headers["content-security-policy"]
        assert "unsafe-inline" not in answer.headers["content-security-policy"]
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert "private" in answer.headers["cache-control"] or "no-store" in answer.headers["cache-control"]
    odd = await service.client("read").get("/nowhere", headers={"X-Request-Id": "<script>"})
    assert odd.json()["request_id"] == odd.headers["x-request-id"] != "<script>"


async def test_a_body_is_bounded_with_and_without_its_length(store: Path) -> None:
    async with open_service(store, max_body=1000) as service:

        async def pieces() -> AsyncIterator[bytes]:
            for _ in range(20):
                yield b" " * 100

        client = service.client("run")
        for content in (b" " * 2000, pieces()):
            answer = await client.post("/personas", content=content, headers={"Content-Type": "application/json"})
            assert (answer.status_code, answer.json()["code"]) == (413, "too_large")
        assert (await client.post("/personas", json={"name": "fits"})).status_code == 201


@pytest.mark.parametrize(
    ("content", "kind", "status", "code"),
    [
        ("{", "application/json", 400, "malformed"),
        ("[]", "application/json", 400, "malformed"),
        ('"x"', "application/json", 400, "malformed"),
        ('{"name": NaN}', "application/json", 400, "malformed"),
        ("[" * 100_000, "application/json", 400, "malformed"),
        (b'{"name": "\xff"}', "application/json", 400, "malformed"),
        ('{"name": "a"}', "text/plain", 415, "unsupported_media_type"),
        ("name=a", "application/x-www-form-urlencoded", 415, "unsupported_media_type"),
        ('{"name": "\\ud800"}', "application/json", 400, "malformed"),
        ('{"name": "a\\u0000b"}', "application/json", 422, "invalid"),
        ("", "application/json", 422, "invalid"),
    ],
)
async def test_a_body_that_is_none_is_refused(
    service: Service, content: str | bytes, kind: str, status: int, code: str
) -> None:
    answer = await service.client("run").post("/personas", content=content, headers={"Content-Type": kind})
    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text


@pytest.mark.parametrize(("method", "path", "status"), [("GET", "/nowhere", 404), ("PUT", "/personas", 405)])
async def test_what_there_is_not_is_a_problem_too(service: Service, method: str, path: str, status: int) -> None:
    answer = await service.client("read").request(method, path)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["status"] == status


async def test_a_fault_of_the_service_tells_nothing_of_it(
    service: Service, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def fails(*_: Any, **__: Any) -> None:
        raise RuntimeError("the password is hunter2")

    monkeypatch.setattr(service.state.definitions, "list_personas", fails)
    answer = await service.client("read").get("/personas")
    assert (answer.status_code, answer.json()["code"]) == (500, "internal")
    assert "hunter2" not in answer.text
    assert answer.json()["request_id"] in caplog.text


@pytest.mark.parametrize(
    "header", ["Bearer", "Bearer ", "Basic abc", "Bearer duo_unknown", f"Bearer {'x' * 5000}", "Bearer \x7f"]
)
async def test_a_token_that_is_none_opens_nothing(service: Service, header: str) -> None:
    answer = await service.client("").get("/personas", headers={"Authorization": header})
    assert answer.status_code == 401


async def test_a_token_ends_when_it_was_to_and_when_it_is_revoked(service: Service) -> None:
    admin = service.client("admin")
    soon = service.database.context.clock.now() + 1000
    token, made = await service.state.tokens.create_token("soon", "read", expires_at=soon)
    asked: dict[str, Any] = {"headers": {"Authorization": f"Bearer {token}"}, "params": {"project": "shop"}}
    assert (await service.client("").get("/personas", **asked)).status_code == 200
    await service.database.write(
        lambda connection: connection.exec_driver_sql("UPDATE tokens SET expires_at = 1 WHERE name = 'soon'")
    )
    assert (await service.client("").get("/personas", **asked)).status_code == 401
    created = await admin.post("/tokens", json={"name": "ci", "scope": "run"})
    assert created.json()["project_id"] == service.shop.id  # a token of one project makes no other
    theirs = {"Authorization": f"Bearer {created.json()['token']}"}
    assert (await service.client("").get("/personas", headers=theirs)).status_code == 200
    listed = (await admin.get("/tokens")).json()["data"]
    assert created.json()["token"] not in str(listed)
    assert {item["project_id"] for item in listed} == {service.shop.id}
    assert (await admin.delete(f"/tokens/{created.json()['id']}")).status_code == 204
    assert (await service.client("").get("/personas", headers=theirs)).status_code == 401
    assert (await admin.delete(f"/tokens/{made.id}")).status_code == 404  # it opens all projects


async def test_the_use_of_a_token_is_noted_once_a_minute(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    noted: list[str] = []
    used = ApiTokens.used

    async def counted(self: ApiTokens, token_id: str) -> None:
        noted.append(token_id)
        await used(self, token_id)

    monkeypatch.setattr(ApiTokens, "used", counted)
    for _ in range(5):
        await service.client("read").get("/personas")
    await service.state.settled()
    assert len(noted) == 1
    found = {item.id: item for item in await service.state.tokens.list_tokens()}
    assert found[noted[0]].last_used_at is not None


async def test_an_application_can_be_opened_again(store: Path) -> None:
    for _ in range(2):
        async with open_service_once(store) as client:
            assert (await client.get("/health")).json() == {"status": "ok"}


def open_service_once(store: Path) -> Any:
    from contextlib import asynccontextmanager

    from duologue.server import ServerSettings, create_app

    @asynccontextmanager
    async def opened() -> AsyncIterator[httpx.AsyncClient]:
        app = create_app(ServerSettings(store=store))
        transport = httpx.ASGITransport(app=app)
        async with (
            app.router.lifespan_context(app),
            httpx.AsyncClient(transport=transport, base_url="http://localhost/api/v1") as client,
        ):
            yield client

    return opened()


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ('{"name": "x", "goals": [' + "1," * 3_000_000 + "1]}", 400),
        ('{"name": "x", "goals": [' + "[[]]," * 100_000 + "1]}", 400),
        ("{" + ",".join(f'"k{number}": 1' for number in range(100_000)) + "}", 400),
        ('{"name": "x", "description": "' + "{[1,2]}," * 100_000 + '"}', 201),
        ('{"name": "x", "goals": [' + '"be brief",' * 40_000 + '"x"]}', 201),
    ],
    ids=["numbers", "lists", "fields", "a text", "goals"],
)
async def test_a_body_holds_only_so_many_values(service: Service, body: str, status: int) -> None:
    headers = {"Content-Type": "application/json"}
    answer = await service.client("run").post("/personas", content=body, headers=headers)
    assert answer.status_code == status, answer.text[:300]
    if status == 400:
        assert "more than 50,000 values" in answer.json()["detail"]


async def test_of_many_problems_the_first_are_told(service: Service) -> None:
    body = {f"field_{number}": number for number in range(5_000)}
    answer = await service.client("run").post("/personas", json=body)
    assert answer.status_code == 422
    assert "there are 5,001 problems" in answer.text
    assert "unknown field 'field_0'" in answer.text
    assert "field_900" not in answer.text


async def test_a_sender_who_goes_away_is_no_fault_of_the_service(
    service: Service, caplog: pytest.LogCaptureFixture
) -> None:
    async with listening(service.app) as url:
        address = httpx.URL(url)
        _, writer = await asyncio.open_connection(address.host, address.port)
        token = service.tokens["run", "shop"]
        head = f"POST /api/v1/personas HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n"
        with caplog.at_level("INFO", "duologue.server"):
            writer.write(f"{head}Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{{".encode())
            await writer.drain()
            writer.close()
            await until(lambda: "has gone" in caplog.text)
    assert not [record for record in caplog.records if record.levelname == "ERROR"]
