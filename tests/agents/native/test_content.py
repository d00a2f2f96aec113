from __future__ import annotations

import base64
import io
import wave
from typing import Any, cast

import pytest

from duologue.agents.native import blueprint as module
from duologue.agents.native import content_of
from duologue.errors import ConfigurationError
from duologue.specs.prompts import MediaLimits, MediaRules
from duologue.specs.scenario import Media, Part, Turn
from duologue.specs.suite import Suite
from duologue.transcripts.media_facts import facts_of, kind_of

PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)


def sound(seconds: float) -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(8000)
        out.writeframes(b"\0\0" * int(8000 * seconds))
    return file.getvalue()


def turn(kind: str, count: int = 1, **media: Any) -> Turn:
    part = Part(type=cast("Any", kind), media=Media(**media))
    return Turn(parts=(Part(type="text", text="Look, {{name}}: {what}"), *[part] * count))


def made(turn: Turn, stage: Any, rules: MediaRules | None = None) -> list[dict[str, Any]]:
    suite = Suite(name="s").within(stage.folder)
    return cast("Any", content_of(turn, {"name": "Ann"}, {"what": "this"}, suite, rules=rules))


def test_a_line_is_text(stage: Any) -> None:
    assert made(Turn(content="Hi {{name}}, {what} {{x}}"), stage) == "Hi Ann, this {{x}}"


def test_a_picture_from_a_file_is_sent_along(stage: Any) -> None:
    (stage.folder / "a.png").write_bytes(PNG)
    text, image = made(turn("image", mime_type="image/png", file_path="a.png", detail="low", caption="dot"), stage)
    assert text == {"type": "text", "text": "Look, Ann: this"}
    assert image["image_url"]["detail"] == "low"
    assert image["metadata"] == {"caption": "dot"}
    assert (kind_of(image), facts_of(image).width) == ("image/png", 1)


def test_a_link_stays_a_link(stage: Any) -> None:
    _, image = made(turn("image", mime_type="image/png", url="https://example.com/x"), stage)
    _, film = made(turn("video", mime_type="video/mp4", storage_reference="store://1"), stage)
    assert image["image_url"] == {"url": "https://example.com/x"}
    assert (film["video_url"], kind_of(film)) == ({"url": "store://1"}, "video/mp4")


def test_a_sound_is_sent_as_providers_want_it(stage: Any) -> None:
    data = base64.b64encode(sound(2)).decode()
    _, part = made(turn("audio", mime_type="audio/x-wav", data=data), stage)
    assert part["input_audio"]["format"] == "wav"
    assert facts_of(part).seconds == pytest.approx(2)


@pytest.mark.parametrize(
    ("written", "limits", "told"),
    [
        ({"max_size_mb": 1}, {"data": base64.b64encode(b"x" * 1_048_577).decode()}, "the prompt allows 1 MB"),
        ({"allowed_formats": ("jpeg",)}, {}, "found png; the prompt allows jpeg"),
        ({"require_caption": True}, {}, "wants a caption"),
        ({"max_images_per_msg": 1}, {"count": 2}, "found 2 images; the prompt allows 1"),
    ],
)
def test_rules_of_the_prompt_are_kept(stage: Any, written: Any, limits: Any, told: str) -> None:
    rules = MediaRules(image=MediaLimits(**written))
    data = {"data": base64.b64encode(PNG).decode(), **limits}
    with pytest.raises(ConfigurationError, match=told):
        made(turn("image", mime_type="image/png", **data), stage, rules)


def test_what_the_rules_allow_is_sent(stage: Any) -> None:
    rules = MediaRules(
        supported_types=("image",),
        image=MediaLimits(max_size_mb=1, allowed_formats=("jpg", "png"), max_images_per_msg=2, default_detail="high"),
    )
    parts = made(turn("image", 2, mime_type="image/png", data=base64.b64encode(PNG).decode()), stage, rules)
    assert [part["image_url"]["detail"] for part in parts[1:]] == ["high", "high"]


@pytest.mark.parametrize("rules", [MediaRules(enabled=False), MediaRules(supported_types=("audio",))])
def test_kinds_that_the_prompt_does_not_understand_are_refused(stage: Any, rules: MediaRules) -> None:
    with pytest.raises(ConfigurationError, match="found image; the prompt"):
        made(turn("image", mime_type="image/png", url="https://example.com/x"), stage, rules)
    assert made(Turn(content="text is fine"), stage, rules) == "text is fine"


def test_sounds_have_a_longest(stage: Any) -> None:
    data = base64.b64encode(sound(3)).decode()
    rules = MediaRules(audio=MediaLimits(max_duration_sec=2))
    with pytest.raises(ConfigurationError, match="this takes 3 s; the prompt allows 2 s"):
        made(turn("audio", mime_type="audio/wav", data=data), stage, rules)
    rules = MediaRules(audio=MediaLimits(require_metadata=True))
    with pytest.raises(ConfigurationError, match="nobody can say how long"):
        made(turn("audio", mime_type="audio/wav", url="https://example.com/x.wav"), stage, rules)


def test_files_that_cannot_be_sent_are_errors(stage: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    (stage.folder / "big.png").write_bytes(PNG)
    monkeypatch.setattr(module, "MAX_BYTES", 10)
    for path, told in (
        ("none.png", "No such file"),
        ("big.png", "'big.png' cannot be sent: it has"),
        (".", "no ordinary file"),
    ):
        with pytest.raises(ConfigurationError, match=told):
            made(turn("image", mime_type="image/png", file_path=path), stage)
    with pytest.raises(ConfigurationError, match="no base 64"):
        made(turn("image", mime_type="image/png", data="ä"), stage)
    with pytest.raises(ConfigurationError, match="expected at most 10"):
        made(turn("image", mime_type="image/png", data=base64.b64encode(PNG).decode()), stage)
