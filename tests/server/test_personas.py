"""Personas, which all other definitions are made after: fields, problems, pages, preconditions, keys of requests."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from api_service import Service

PERSONA = {"name": "ann", "goals": ["a refund"], "style": {"verbosity": "short"}, "facts": {"order": "A-1"}}


async def test_what_was_sent_comes_back_with_an_id_and_times(service: Service) -> None:
    client = service.client("run")
    made = await client.post("/personas", json=PERSONA)
    assert made.status_code == 201
    found = await client.get(made.headers["location"].removeprefix("/api/v1"))
    assert found.json() == made.json()
    assert found.headers["etag"] == made.headers["etag"]
    body = found.json()
    assert {name: body[name] for name in ("name", "goals", "facts")} == {
        name: PERSONA[name] for name in ("name", "goals", "facts")
    }
    assert body["project_id"] == service.shop.id
    assert body["created_at"].endswith("Z")


@pytest.mark.parametrize(
    ("body", "problems"),
    [
        ({"name": "a", "goals": "x"}, {"goals": "expected a list"}),
        ({"name": "a", "style": {"verbosity": 5}}, {"style.verbosity": "found 5 (a number)"}),
        ({"name": "a", "fragments": [{}]}, {"fragments[0].name": "the field 'name' is missing"}),
        ({"name": "a", "langage": "de"}, {"langage": "did you mean 'language'?"}),
        ({"goals": ["x"]}, {"name": "the field 'name' is missing"}),
        ({"name": None}, {"name": "found nothing"}),
        ({"name": "a", "lines": ["hi"], "goals": ["x"]}, {"": "only a simulator reads it"}),
        ({"name": "a", "id": "x", "project_id": "y"}, {"id": "unknown field", "project_id": "unknown field"}),
    ],
)
async def test_problems_name_the_field_in_the_words_of_validate(
    service: Service, body: dict[str, Any], problems: dict[str, str]
) -> None:
    answer = await service.client("run").post("/personas", json=body)
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    found = {item["path"]: item["message"] for item in answer.json()["problems"]}
    assert found.keys() == problems.keys()
    assert all(problems[path] in found[path] for path in problems)


async def test_null_gives_a_field_its_default_and_others_stay(service: Service) -> None:
    client = service.client("run")
    made = (await client.post("/personas", json=PERSONA)).json()
    changed = (await client.patch(f"/personas/{made['id']}", json={"style": None, "language": "German"})).json()
    assert (changed["style"], changed["language"], changed["goals"]) == (None, "German", ["a refund"])


async def test_a_change_of_what_was_changed_meanwhile_is_refused(service: Service) -> None:
    client = service.client("run")
    made = await client.post("/personas", json=PERSONA)
    path, seen = f"/personas/{made.json()['id']}", {"If-Match": made.headers["etag"]}
    first = await client.patch(path, json={"language": "German"}, headers=seen)
    assert first.status_code == 200
    for refused in (
        await client.patch(path, json={"language": "French"}, headers=seen),
        await client.delete(path, headers=seen),
    ):
        assert refused.status_code == 412, refused.text
        assert refused.json()["code"] == "changed_meanwhile"
    assert (await client.get(path)).json()["language"] == "German"
    assert (await client.delete(path, headers={"If-Match": first.headers["etag"]})).status_code == 204
    assert (await client.get(path)).status_code == 404


async def test_of_many_who_change_the_same_one_only_the_first_does(service: Service) -> None:
    client = service.client("run")
    made = await client.post("/personas", json=PERSONA)
    path, seen = f"/personas/{made.json()['id']}", {"If-Match": made.headers["etag"]}
    answers = await asyncio.gather(
        *(client.patch(path, json={"language": f"L{number}"}, headers=seen) for number in range(8))
    )
    assert sorted(answer.status_code for answer in answers) == [200, *[412] * 7]


async def test_what_the_caller_has_is_not_sent_again(service: Service) -> None:
    client = service.client("read")
    first = await client.get("/personas")
    again = await client.get("/personas", headers={"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


async def test_pages_go_through_all_of_them_also_where_the_last_one_is_deleted(service: Service) -> None:
    client = service.client("run")
    made = [(await client.post("/personas", json={"name": f"p{number}"})).json() for number in range(7)]
    names: list[str] = []
    cursor: str | None = None
    while True:
        page = (await client.get("/personas", params={"limit": 3} | ({"cursor": cursor} if cursor else {}))).json()
        names += [item["name"] for item in page["data"]]
        await client.delete(f"/personas/{page['data'][-1]['id']}")
        if (cursor := page["next"]) is None:
            break
    assert names == [item["name"] for item in made]


@pytest.mark.parametrize("cursor", ["", "x", "e30", "WzFd", "W251bGwsMV0", "é", "A" * 400])
async def test_a_cursor_that_is_none_is_refused(service: Service, cursor: str) -> None:
    answer = await service.client("read").get("/personas", params={"cursor": cursor})
    assert answer.status_code == 422
    assert answer.json()["problems"][0]["path"] == "cursor"


async def test_a_request_that_is_sent_twice_makes_one(service: Service) -> None:
    client, key = service.client("run"), {"Idempotency-Key": "k-1"}
    first = await client.post("/personas", json=PERSONA, headers=key)
    again = await client.post("/personas", json=PERSONA, headers=key)
    assert (first.status_code, again.status_code) == (201, 201)
    assert first.json() == again.json()
    assert again.headers["idempotency-replayed"] == "true"
    assert again.headers["location"] == first.headers["location"]
    other = await client.post("/personas", json={"name": "else"}, headers=key)
    assert other.status_code == 422
    assert "another request" in other.text
    assert len((await client.get("/personas")).json()["data"]) == 1
    theirs = await service.client("run", "bank").post("/personas", json=PERSONA, headers=key)
    assert theirs.status_code == 201
    assert theirs.json()["id"] != first.json()["id"]


async def test_requests_with_one_key_at_once_make_one(service: Service) -> None:
    client, key = service.client("run"), {"Idempotency-Key": "k-2"}
    answers = await asyncio.gather(*(client.post("/personas", json=PERSONA, headers=key) for _ in range(6)))
    assert {answer.status_code for answer in answers} <= {201, 409}
    assert len({answer.json()["id"] for answer in answers if answer.status_code == 201}) == 1


async def test_a_request_that_was_refused_may_be_put_right_with_its_key(service: Service) -> None:
    client, key = service.client("run"), {"Idempotency-Key": "k-3"}
    assert (await client.post("/personas", json={"name": ""}, headers=key)).status_code == 422
    assert (await client.post("/personas", json=PERSONA, headers=key)).status_code == 201


async def test_a_name_is_taken_once_in_a_project(service: Service) -> None:
    client = service.client("run")
    await client.post("/personas", json=PERSONA)
    again = await client.post("/personas", json=PERSONA)
    assert (again.status_code, again.json()["code"]) == (409, "conflict")
    assert (await service.client("run", "bank").post("/personas", json=PERSONA)).status_code == 201


async def test_a_token_of_all_projects_names_the_project(service: Service) -> None:
    client = service.client("run", "every")
    unnamed = await client.post("/personas", json=PERSONA)
    assert unnamed.status_code == 422
    assert unnamed.json()["problems"][0]["path"] == "project"
    for project in ("shop", service.bank.id):
        assert (await client.post("/personas", json=PERSONA, params={"project": project})).status_code == 201
    assert (await client.post("/personas", json=PERSONA, params={"project": "nowhere"})).status_code == 404
