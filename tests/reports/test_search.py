"""Words in conversations: what is found, with which excerpt, and how a search stops and goes on."""

from __future__ import annotations

import time

import pytest

from duologue.messages import assistant_message, tool_call, user_message
from duologue.reports.html.search import MessageSearch, Searches, filtered, found_page, parts_left


def line(name="r1", outcome="pass", **more):
    return {
        "id": name, "title": f"title of {name}", "reason": "", "tags": ["area=booking"], "outcome": outcome,
        "seconds": 1.0, "scenario": "s", "agent": "a", "persona": None, **more,
    }  # fmt: skip


def run(*messages, description="", checks=()):
    said = [{"id": f"m{number}", "message": message} for number, message in enumerate(messages, 1)]
    return {"messages": said, "description": description, "checks": [{"name": name} for name in checks]}


CALL = assistant_message(None, [tool_call("find_rooms", '{"guests": 2, "view": "Garden"}', "c1")])
PARTS = {"role": "user", "content": [{"type": "text", "text": "Look at this"}, {"type": "image_url", "image_url": {}}]}
FOUND = [
    ("parcel", [user_message("Hi."), user_message("My PARCEL?")], ("m2", "My ", "PARCEL", "?")),
    ("my  parcel", [user_message("is my\n\tparcel late")], ("m1", "is ", "my parcel", " late")),
    ("24% (.*)", [user_message("I want 24% (.*) off")], ("m1", "I want ", "24% (.*)", " off")),
    ("[", [user_message("a [b] c")], ("m1", "a ", "[", "b] c")),
    ("GRÜẞE", [user_message("viele Grüße")], ("m1", "viele ", "Grüße", "")),
    ("grüße", [user_message("viele GRÜßE")], ("m1", "viele ", "GRÜßE", "")),
    ("find_rooms", [user_message("x"), CALL], ("m2", "", "find_rooms", ' {"guests": 2, "view": "Garden"}')),
    ("look at", [PARTS], ("m1", "", "Look at", " this")),
    ("booked", [assistant_message("x" * 80 + "booked" + "y" * 80)], ("m1", "…" + "x" * 60, "booked", "y" * 60 + "…")),
    ("istanbul", [user_message("in İSTANBUL İİ")], ("m1", "in ", "İSTANBUL", " İİ")),
    ("İİ x", [user_message("İİİİ\u00a0X İ")], ("m1", "İİ", "İİ X", " İ")),
    ("οδοσ", [user_message("ΜΙΑ ΟΔΟΣ")], ("m1", "ΜΙΑ ", "ΟΔΟΣ", "")),
    ("a.*b", [user_message("a b a.*b")], ("m1", "a b ", "a.*b", "")),
    ("(a+)+$", [user_message("aaaa (a+)+$")], ("m1", "aaaa ", "(a+)+$", "")),
    ("nobody", [user_message("Hi.")], None),
    ("my parcel", [user_message("my"), user_message("parcel")], None),
]  # fmt: skip


@pytest.mark.parametrize(("words", "messages", "expected"), FOUND)
def test_what_is_found(words, messages, expected):
    search = MessageSearch(words)
    search.take(line(), run(*messages))
    hit = search.hit("r1")
    assert (hit and (hit.message, hit.before, hit.found, hit.after)) == expected


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("a " * 240 + "b", "a " * 2_500_000 + "x b"),
        (" ".join(["a"] * 240), "lorem a ipsum " * 350_000),
        ("a b", ("a" + " " * 2000) * 2500 + "c b"),
        ("a" * 400 + "b", "a" * 5_000_000),
        ("x " * 1000, "x " * 2_500_000),
    ],
    ids=["words that repeat", "a common word", "spaces", "one line", "longer than may be asked"],
)
def test_no_words_and_no_text_keep_the_service_busy(words, said):
    """A regular expression takes minutes for the first of these."""
    search = MessageSearch(words)
    began = time.process_time()
    search.take(line(), run(user_message(said)))
    assert time.process_time() - began < 20


def test_texts_of_the_run_itself_are_found_and_lead_to_no_message():
    for words in ("wants a refund", "IS POLITE"):
        search = MessageSearch(words)
        search.take(line(), run(user_message("Hi."), description="Wants a refund.", checks=["is polite"]))
        hit = search.hit("r1")
        assert hit is not None
        assert hit.message is None


@pytest.mark.parametrize("broken", [None, [], "x", {"messages": 3}, {"messages": [{"message": "x"}, 7]}])
def test_what_cannot_be_read_is_looked_at_and_has_nothing(broken):
    search = MessageSearch("x")
    search.take(line(), broken)
    assert search.hit("r1") is None
    assert search.left([line()]) == []


def test_a_search_stops_and_goes_on():
    lines = [line(f"r{number}") for number in range(120)]
    searches = Searches()
    search, new = searches.of("e1", "Parcel")
    assert new
    for part in parts_left(search, lines):
        for item in part:
            search.take(item, run(user_message("my parcel")))
        break
    page = found_page(lines, "Parcel", search, offset=40, limit=100, around="r45")
    assert page["searched"] == {"done": 50, "of": 120}
    assert (page["total"], len(page["runs"]), page["at"], page["runs"][0]["id"]) == (50, 10, 45, "r40")
    again, new = searches.of("e1", "PARCEL")
    assert again is search
    assert not new
    assert [len(part) for part in parts_left(again, lines)] == [50, 20]
    assert searches.of("e2", "parcel")[1]


def test_a_run_that_has_changed_is_looked_at_again_and_one_under_way_is_not_yet():
    search = MessageSearch("parcel")
    search.take(line(outcome="error"), run(user_message("parcel")))
    assert search.left([line(outcome="error")]) == []
    assert search.left([line()]) == ["r1"]
    under_way = [line("r2", "running"), line("r3", "queued")]
    assert list(parts_left(search, under_way)) == []
    assert found_page(under_way, "parcel", search, offset=0, limit=9, around=None)["searched"] == {"done": 0, "of": 0}


def test_only_some_searches_are_kept():
    searches = Searches()
    for number in range(40):
        searches.of("e", f"word {number}")
    assert searches.of("e", "word 0")[1]
    assert not searches.of("e", "word 39")[1]


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ({}, ["r1", "r2"]),
        ({"outcome": "fail"}, ["r2"]),
        ({"outcome": "pass,fail"}, ["r1", "r2"]),
        ({"tag": "tier=smoke"}, ["r2"]),
        ({"tag": "tier"}, []),
        ({"scenario": "s", "agent": "b"}, ["r2"]),
        ({"persona": "p"}, []),
    ],
)
def test_filters(wanted, expected):
    lines = [line("r1"), line("r2", "fail", agent="b", tags=["tier=smoke"])]
    assert [item["id"] for item in filtered(lines, wanted)] == expected
