"""Pictures, sounds and files as parts of a message."""

from __future__ import annotations

import pytest

from duologue.messages import audio_format, media_part


@pytest.mark.parametrize(
    ("mime", "name"),
    [
        ("audio/mpeg", "mp3"),
        ("audio/mp3", "mp3"),
        ("audio/x-wav", "wav"),
        ("audio/WAV; rate=1", "wav"),
        ("audio/ogg", "ogg"),
    ],
)
def test_sounds_have_the_format_that_providers_know(mime: str, name: str) -> None:
    assert audio_format(mime) == name
    assert media_part(mime, data=b"ab")["input_audio"] == {"data": "YWI=", "format": name}


def test_kind_follows_the_mime_type() -> None:
    assert media_part("image/png", data="AAAA", facts={"detail": "low"}) == {
        "type": "image_url",
        "image_url": {"url": "data:image/png;base64,AAAA", "detail": "low"},
    }
    assert media_part("video/mp4", url="https://x.test/v.mp4")["type"] == "video_url"
    assert media_part("audio/mpeg", url="https://x.test/a.mp3")["type"] == "audio_url"
    assert media_part("application/pdf", data=b"ab")["file"]["url"] == "data:application/pdf;base64,YWI="
    assert media_part("application/pdf", url="https://x.test/d.pdf", kind="document")["type"] == "document_url"
