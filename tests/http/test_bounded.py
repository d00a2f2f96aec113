"""How a body is unpacked and counted, whatever pieces it comes in; and in which charset a text is read."""

from __future__ import annotations

import gzip
import random
import zlib
from typing import Any

import httpx
import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from duologue.http import BrokenResponseError, Limits, ResponseRefusedError, ResponseTooLargeError, bound, failure_in
from duologue.http._bounded import BoundedBody
from duologue.http._exchange import decoded

TEXT = random.Random(1).randbytes(50_000) + bytes(200_000) + b"the end"


def deflated(data: bytes, wbits: int) -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, wbits)
    return packer.compress(data) + packer.flush()


def read(packed: bytes, *, size: int = 1000, limits: Limits | None = None, **headers: str) -> bytes:
    named = httpx.Headers({name.replace("_", "-"): value for name, value in headers.items()})
    body = BoundedBody(named, limits or Limits(max_values=None))
    pieces = [piece for start in range(0, len(packed), size) for piece in body.feed(packed[start : start + size])]
    body.end()
    assert all(len(piece) <= max(size, 64 * 1024) for piece in pieces)
    return b"".join(pieces)


PACKED = {
    "": TEXT,
    "identity": TEXT,
    "gzip": gzip.compress(TEXT),
    "GZIP": gzip.compress(TEXT),
    "x-gzip": gzip.compress(TEXT[:70_000]) + gzip.compress(TEXT[70_000:]),
    "deflate": deflated(TEXT, 15),
    " deflate , identity": deflated(TEXT, -15),
}


@pytest.mark.parametrize("coding", PACKED)
@given(size=st.integers(1, 300_000))
def test_one_layer_is_unpacked_in_whatever_pieces_it_comes(coding: str, size: int) -> None:
    assert read(PACKED[coding], size=max(size, 50), content_encoding=coding) == TEXT


@pytest.mark.parametrize("coding", ["gzip, gzip", "gzip,deflate", "br", "zstd", "gzip, br", "compress", "gzip " * 9])
def test_other_codings_and_chains_are_refused(coding: str) -> None:
    with pytest.raises(ResponseRefusedError, match="expected none, or gzip or deflate once"):
        read(PACKED["gzip"], content_encoding=coding)


@pytest.mark.parametrize("end", [-1, -8, -9, 30, 11])
def test_half_a_packed_body_is_no_body(end: int) -> None:
    with pytest.raises(BrokenResponseError, match="has no end"):
        read(PACKED["gzip"][:end], content_encoding="gzip")


def test_a_body_that_is_not_there_is_empty() -> None:
    assert read(b"", content_encoding="gzip") == b""


@pytest.mark.parametrize(
    "packed",
    [b"no gzip at all", gzip.compress(b"a" * 99) + b"and more", b"\x1f\x8b\x08" + b"\xff" * 50],
    ids=["not at all", "with an appendix", "broken"],
)
def test_what_is_not_packed_as_it_says_is_refused(packed: bytes) -> None:
    with pytest.raises(ResponseRefusedError, match="not packed with gzip"):
        read(packed, content_encoding="gzip")


def test_the_bytes_that_arrive_are_counted_too() -> None:
    # Empty blocks: they unpack to nothing, for ever.
    block = deflated(b"", -15)[:-2] + b"\x00\x00\x00\xff\xff" * 1000
    with pytest.raises((ResponseTooLargeError, ResponseRefusedError)):
        read(b"\x00\x00\x00\xff\xff" * 10_000 + block, limits=Limits(max_bytes=20_000), content_encoding="deflate")


def test_events_are_bounded_one_by_one_and_all_together() -> None:
    stream: dict[str, Any] = {"content_type": "text/event-stream; charset=utf-8"}
    limits = Limits(max_bytes=100, max_stream_bytes=10_000, max_event_bytes=50, max_lines=500)
    for end in (b"\n\n", b"\r\n\r\n", b"\r\r"):
        events = (b"data: hello" + end) * 100
        assert read(events, size=7, limits=limits, **stream) == events
        with pytest.raises(ResponseRefusedError, match="an event of the answer is longer than 50 bytes"):
            read(events + b"data: " + b"x" * 50, size=7, limits=limits, **stream)
        with pytest.raises(ResponseTooLargeError, match="longer than 10000 bytes"):
            read((b"data: " + b"x" * 40 + end) * 220, size=7, limits=limits, **stream)
    with pytest.raises(ResponseRefusedError, match="more than 500 lines"):
        read(b":\n\n" * 300, size=7, limits=limits, **stream)


def test_values_are_counted_in_a_body_and_in_each_event() -> None:
    limits = Limits(max_values=10)
    assert read(b"[1,2,3,4,5]", limits=limits)
    with pytest.raises(ResponseRefusedError, match="more than 10 values"):
        read(b"[{},{},{},{},{},{}]", size=3, limits=limits)
    events = b"data: [1,2,3]\n\n" * 20
    assert read(events, size=15, limits=limits, content_type="text/event-stream") == events


class Answering(httpx.BaseTransport, httpx.AsyncBaseTransport):
    """A transport that answers with a packed body, of one library."""

    def __init__(self, library: Any, headers: dict[str, str], body: bytes) -> None:
        self.library = library
        self.headers = headers
        self.body = body
        self.accepted = ""

    def handle_request(self, request: Any) -> Any:
        self.accepted = request.headers["accept-encoding"]
        stream = self.library.ByteStream(self.body)
        return self.library.Response(200, headers=self.headers, stream=stream)

    async def handle_async_request(self, request: Any) -> Any:
        return self.handle_request(request)


@pytest.mark.parametrize("library", [httpx, httpx2])
async def test_clients_of_both_libraries_read_through_the_limits(library: Any) -> None:
    class Own(library.AsyncClient):
        """As SDKs have them."""

    packed = Answering(library, {"content-encoding": "gzip", "content-length": "99"}, PACKED["gzip"])
    async with bound(Own(transport=packed), Limits(max_values=None)) as client:
        response = await client.get("http://host/")
        assert (response.content, packed.accepted) == (TEXT, "gzip, deflate")
        assert not {"content-encoding", "content-length"} & set(response.headers)
        with pytest.raises(library.RemoteProtocolError, match="longer than 1000 bytes") as caught:
            await client.get("http://host/", extensions=Limits(max_bytes=1000).extensions)
        assert isinstance(failure_in(caught.value), ResponseTooLargeError)
    with bound(library.Client(transport=packed), Limits(max_bytes=1000)) as client:
        with pytest.raises(library.RemoteProtocolError, match="longer than 1000 bytes"):
            client.get("http://host/")
        assert client.get("http://host/", extensions=Limits(max_values=None).extensions).content == TEXT


async def test_headers_are_bounded() -> None:
    many = Answering(httpx, {f"x-{number}": "y" for number in range(300)}, b"")
    long = Answering(httpx, {"x": "y" * 70_000}, b"")
    for transport in (many, long):
        async with bound(httpx.AsyncClient(transport=transport), Limits()) as client:
            with pytest.raises(httpx.RemoteProtocolError, match="at most 256 headers of 65536 bytes"):
                await client.get("http://host/")


@pytest.mark.parametrize(
    ("data", "declared", "text"),
    [
        ("Grüße €", "text/plain", "Grüße €"),
        ("Grüße", "application/json; charset=ISO-8859-1", "Grüße"),
        ("Grüße €", 'text/plain; boundary=x; Charset="windows-1252"', "Grüße €"),
        ("こんにちは", "text/plain;charset=Shift_JIS", "こんにちは"),
        ("здравствуйте", "text/plain; charset=koi8-r", "здравствуйте"),
        ("你好", "text/plain; charset=gb18030", "你好"),
        ("hi", "text/plain; charset=utf-16", "hi"),
    ],
)
def test_a_text_is_read_in_the_charset_that_it_declares(data: str, declared: str, text: str) -> None:
    import email.message

    header = email.message.Message()
    header["content-type"] = declared
    charset = header.get_content_charset("utf-8")
    assert decoded(data.encode(charset), declared) == text


@pytest.mark.parametrize("charset", ["utf-8-sig", "utf-16", "utf-32"])
def test_a_byte_order_mark_counts_more_than_what_is_declared(charset: str) -> None:
    assert decoded("Grüße".encode(charset), "text/plain; charset=iso-8859-1") == "Grüße"


@pytest.mark.parametrize("charset", ["punycode", "idna", "zlib", "rot13", "unicode_escape", "utf-7", "nonsense", "hex"])
def test_an_odd_charset_is_utf_8(charset: str) -> None:
    assert decoded(b"caf\xc3\xa9 \xff", f"text/plain; charset={charset}") == "café \ufffd"
