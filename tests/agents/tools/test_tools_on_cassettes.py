from pathlib import Path
from typing import Any

from duologue.models.cassette import Cassette
from duologue.specs.prompts import Tool
from duologue.specs.scenario import Chaos, ToolFailure, Turn


def live(url: str) -> Tool:
    return Tool(name="weather", description="d", mode="live", http={"url": url, "timeout_ms": 600_000})


def kept(desk: Any) -> list[tuple[Any, ...]]:
    return [(event.name, event.arguments, event.result, event.error) for event in desk.calls]


async def test_calls_are_replayed_in_order_with_their_failures(desk_of: Any, web: Any, tmp_path: Path) -> None:
    async def play(url: str, mode: str) -> Any:
        desk = desk_of(live(url), cassette=Cassette(tmp_path / "tape.jsonl", mode))
        for count in range(3):
            web.says({"count": count}, status=200 if count < 2 else 503)
            await desk("weather", {"city": "Rome"})
        return kept(desk)

    recorded = await play(web.url, "record")
    assert [result for _, _, result, _ in recorded] == [{"count": 0}, {"count": 1}, None]
    assert "HTTP 503" in recorded[2][3]
    asked = len(web.asked)
    assert await play("http://127.0.0.1:9", "replay") == recorded
    assert len(web.asked) == asked == 3


async def test_tools_within_the_process_need_no_cassette(desk_of: Any, tmp_path: Path) -> None:
    path = tmp_path / "tape.jsonl"
    desk = desk_of(Tool(name="clock", description="d", mock_result="noon"), cassette=Cassette(path, "record"))
    assert (await desk("clock")).value == "noon"
    assert not path.exists()


async def test_what_goes_wrong_on_purpose_goes_wrong_again(desk_of: Any, web: Any, tmp_path: Path) -> None:
    sometimes = Turn(
        content="x", chaos=Chaos(tool_failures=[ToolFailure(tool="weather", mode="error", probability=0.5)])
    )

    async def play(mode: str) -> Any:
        desk = desk_of(live(web.url), seed=7, cassette=Cassette(tmp_path / "tape.jsonl", mode))
        for count in range(10):
            await desk("weather", {"n": count}, turn=sometimes)
        return kept(desk)

    recorded = await play("record")
    assert 0 < len(web.asked) < 10
    assert await play("replay") == recorded
