import asyncio
import os
import sys
from pathlib import Path
from typing import Any

import pytest
from waiting import longer_and_longer, until

from duologue.agents.tools.toolbox import Toolbox
from duologue.errors import ConfigurationError
from duologue.messages import tool_call
from duologue.specs.prompts import Tool

ONCE = """
import json, sys
args = json.load(sys.stdin)["args"]
"""
KEPT = """
import json, sys, os
calls = 0
for line in sys.stdin:
    asked = json.loads(line)
    assert asked["jsonrpc"] == "2.0" and asked["method"] == "execute", asked
    args, calls = asked["params"]["args"], calls + 1
    def say(**fields):
        print(json.dumps({"jsonrpc": "2.0", "id": asked["id"], **fields}), flush=True)
"""


def program(code: str, *, runtime: str = "exec", **binding: Any) -> Tool:
    start = KEPT if runtime == "server" else ONCE
    body = "".join(f"    {line}\n" for line in code.splitlines()) if runtime == "server" else code
    given = {"command": sys.executable, "args": ["-c", start + body], "runtime": runtime, **binding}
    return Tool(name="calc", description="d", mode="exec", exec=given)


def alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


async def gone(pid: int) -> bool:
    await until(lambda: not alive(pid))
    return True


async def test_program_reads_arguments_and_writes_its_result(desk_of: Any) -> None:
    desk = desk_of(program("print(json.dumps({'result': {'twice': args['n'] * 2}}))"))
    answer = await desk("calc", {"n": 21})
    assert (answer.value, answer.error) == ({"twice": 42}, None)
    assert desk.calls[0].seconds >= 0


async def test_json_that_is_no_envelope_is_the_result_itself(desk_of: Any) -> None:
    desk = desk_of(program("print(json.dumps({'result': 1, 'unit': 'm'}))"))
    assert (await desk("calc")).value == {"result": 1, "unit": "m"}


@pytest.mark.parametrize(
    ("code", "told"),
    [
        ("print(json.dumps({'error': 'no such city'}))", "answered with an error: no such city"),
        ("print(json.dumps({'error': {'code': 1, 'message': 'no such city'}}))", "with an error: no such city"),
        ("print('nonsense')", "wrote no JSON: 'nonsense"),
        ("", "wrote no JSON: ''"),
        ("sys.exit('it is broken')", "ended with code 1: it is broken"),
        ("print('{}'); sys.exit(3)", "ended with code 3"),
        ("print(json.dumps({'pending': {'reason': 'approval'}}))", "is waiting for somebody"),
    ],
)
async def test_program_that_fails_is_an_error_answer(desk_of: Any, code: str, told: str) -> None:
    answer = await desk_of(program(code))("calc")
    assert told in answer.error
    assert answer.error.startswith("tool calc: python")
    assert answer.content == f"Error: {answer.error}"


@pytest.mark.parametrize("runtime", ["exec", "server"])
async def test_program_that_is_not_there_is_an_error_answer(desk_of: Any, runtime: str) -> None:
    answer = await desk_of(program("", runtime=runtime, command="no-such-program-here"))("calc")
    assert "cannot be started" in answer.error


@pytest.mark.parametrize("runtime", ["exec", "server"])
async def test_program_gets_only_the_named_variables(
    desk_of: Any, monkeypatch: pytest.MonkeyPatch, runtime: str
) -> None:
    monkeypatch.setenv("GIVEN", "yes")
    monkeypatch.setenv("SECRET_KEY", "no")
    if runtime == "server":
        code = "say(result=[sorted(os.environ), os.environ.get('GIVEN')])"
    else:
        code = "import os; print(json.dumps([sorted(os.environ), os.environ.get('GIVEN')]))"
    names, given = (await desk_of(program(code, runtime=runtime, env=["GIVEN", "NOT_SET"]))("calc")).value
    assert given == "yes"
    assert set(names) - {"LC_CTYPE"} == {"GIVEN", "PATH"}


@pytest.mark.parametrize("runtime", ["exec", "server"])
async def test_program_runs_in_the_folder_of_the_suite(
    desk_of: Any, make_suite: Any, tmp_path: Path, runtime: str
) -> None:
    script = tmp_path / "calc.sh"
    script.write_text('#!/bin/sh\nread line\necho "{\\"result\\": \\"$(pwd)\\"}"\n')
    script.chmod(0o755)
    tool = program("", runtime=runtime, command="./calc.sh", args=[])
    desk = desk_of(suite=make_suite(tool, folder=tmp_path))
    # The program reads a line; one that is started for each call gets none, only an end.
    assert (await desk("calc")).value.endswith(tmp_path.name)


@pytest.mark.parametrize("runtime", ["exec", "server"])
async def test_timeout_kills_the_program_and_all_that_it_started(desk_of: Any, tmp_path: Path, runtime: str) -> None:
    pids = tmp_path / "pids"
    code = (
        "import subprocess, os, time\n"
        "child = subprocess.Popen(['sleep', '600'])\n"
        f"open({str(pids)!r}, 'w').write(f'{{os.getpid()}} {{child.pid}}')\n"
        "time.sleep(600)"
    )
    for seconds in longer_and_longer(0.7):
        answer = await desk_of(program(code, runtime=runtime, timeout_ms=round(seconds * 1000)))("calc")
        assert f"timed out: it did not answer within {seconds:g} s and was killed" in answer.error
        if pids.exists() and len(pids.read_text().split()) == 2:
            break
    for pid in pids.read_text().split():
        assert await gone(int(pid))


async def test_program_that_leaves_its_group_behind_does_not_hold_the_run_up(desk_of: Any, tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    code = (
        "import subprocess\n"
        "child = subprocess.Popen(['sleep', '600'], start_new_session=True)\n"
        f"open({str(pid)!r}, 'w').write(str(child.pid))\n"
        "print('{}')"
    )
    for seconds in longer_and_longer(0.5):
        answer = await desk_of(program(code, timeout_ms=round(seconds * 1000)))("calc")
        assert "timed out" in answer.error
        if pid.exists() and pid.read_text():
            break
    # It is still there: nobody waited for its end.
    os.kill(int(pid.read_text()), 9)


async def test_timeout_of_the_tool_holds_where_the_program_has_none(desk_of: Any) -> None:
    tool = program("import time; time.sleep(60)").changed(timeout_ms=200)
    assert "within 0.2 s" in (await desk_of(tool)("calc")).error


async def test_cancelled_call_kills_the_program(desk_of: Any, tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    code = f"import os, time\nopen({str(pid)!r}, 'w').write(str(os.getpid()))\ntime.sleep(600)"
    task = asyncio.create_task(desk_of(program(code))("calc"))
    await until(lambda: pid.exists() and pid.read_text())
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await gone(int(pid.read_text()))


async def test_kept_program_is_started_once(desk_of: Any) -> None:
    desk = desk_of(program("say(result=[os.getpid(), calls, args['n']])", runtime="server"))
    answers = await asyncio.gather(*[desk("calc", {"n": n}) for n in range(5)])
    assert len({answer.value[0] for answer in answers}) == 1
    assert [answer.value[1:] for answer in answers] == [[n + 1, n] for n in range(5)]


async def test_kept_program_may_complain_at_length(desk_of: Any) -> None:
    code = "sys.stderr.write('x' * 300_000); sys.stderr.flush(); say(result=calls)"
    desk = desk_of(program(code, runtime="server", timeout_ms=600_000))
    assert [(await desk("calc")).value for _ in range(3)] == [1, 2, 3]


async def test_long_line_of_a_kept_program_is_read(desk_of: Any) -> None:
    answer = await desk_of(program("say(result='x' * 1_000_000)", runtime="server"))("calc")
    assert len(answer.value) == 1_000_000


async def test_kept_program_that_dies_is_an_error_and_is_started_again(desk_of: Any) -> None:
    code = "sys.exit('out of memory') if args.get('die') else say(result=calls)"
    desk = desk_of(program(code, runtime="server"))
    assert (await desk("calc")).value == 1
    assert "ended with code 1: out of memory" in (await desk("calc", {"die": True})).error
    assert (await desk("calc")).value == 1


async def test_kept_program_that_was_too_slow_does_not_answer_the_next_call(desk_of: Any) -> None:
    code = "import time\ntime.sleep(600) if args.get('slow') else None\nsay(result=args['n'])"
    for seconds in longer_and_longer(1):
        desk = desk_of(program(code, runtime="server", timeout_ms=round(seconds * 1000)))
        answers = [
            await desk("calc", {"n": 1}),
            await desk("calc", {"n": 2, "slow": True}),
            await desk("calc", {"n": 3}),
        ]
        assert "timed out" in answers[1].error
        if not any("timed out" in (answer.error or "") for answer in answers[::2]):
            break
    assert [answer.value for answer in answers[::2]] == [1, 3]


async def test_cancelled_call_of_a_kept_program_does_not_answer_the_next(desk_of: Any, tmp_path: Path) -> None:
    began = tmp_path / "began"
    code = (
        f"import time\nif args.get('slow'): open({str(began)!r}, 'w').close(); time.sleep(0.3)\nsay(result=args['n'])"
    )
    desk = desk_of(program(code, runtime="server"))
    task = asyncio.create_task(desk("calc", {"n": 1, "slow": True}))
    await until(began.exists)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (await desk("calc", {"n": 2})).value == 2


async def test_error_of_a_kept_program_is_told_and_it_goes_on(desk_of: Any) -> None:
    code = "say(error={'code': -1, 'message': 'no'}) if args.get('bad') else say(result=calls)"
    desk = desk_of(program(code, runtime="server"))
    assert "answered with an error: no" in (await desk("calc", {"bad": 1})).error
    assert (await desk("calc")).value == 2


async def test_kept_program_ends_with_the_toolbox(make_suite: Any) -> None:
    tool = program("say(result=os.getpid())", runtime="server")
    async with Toolbox(make_suite(tool)) as box:
        answer = await box.session().call(tool_call("calc", {}, "c"))
        assert alive(answer.value)
    assert await gone(answer.value)


async def test_kept_program_that_does_not_want_to_end_is_killed(
    make_suite: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("duologue.agents.tools.programs._PATIENCE", 0.2)
    stubborn = Tool(
        name="calc",
        description="d",
        mode="exec",
        exec={
            "command": sys.executable,
            "args": ["-c", KEPT + "    say(result=os.getpid())\nimport time; time.sleep(600)"],
            "runtime": "server",
        },
    )
    async with Toolbox(make_suite(stubborn)) as box:
        answer = await box.session().call(tool_call("calc", {}, "c"))
    assert await gone(answer.value)


async def test_kept_program_needs_somebody_who_ends_it(make_suite: Any) -> None:
    box = Toolbox(make_suite(program("say(result=1)", runtime="server")))
    with pytest.raises(ConfigurationError, match="within 'async with Toolbox"):
        await box.session().call(tool_call("calc", {}, "c"))


async def test_sandbox_that_there_is_not_is_refused(make_suite: Any) -> None:
    with pytest.raises(ConfigurationError, match="there is no sandbox 'docker'"):
        await Toolbox(make_suite(program("", sandbox="docker"))).specs(["calc"])


async def test_shell_is_not_involved(desk_of: Any) -> None:
    tool = program("print(json.dumps(sys.argv[1:]))")
    tool = tool.changed(exec=tool.exec.changed(args=[*tool.exec.args, "$HOME; echo pwned"]))
    assert (await desk_of(tool)("calc")).value == ["$HOME; echo pwned"]


@pytest.mark.parametrize("runtime", ["exec", "server"])
async def test_what_is_secret_is_taken_out_of_what_a_program_says(
    desk_of: Any, monkeypatch: pytest.MonkeyPatch, runtime: str
) -> None:
    monkeypatch.setenv("SHOP_TOKEN", 'very"secret')
    monkeypatch.setenv("PRICE_LIST", "prices.csv")
    code = "import os\nheld = os.environ['SHOP_TOKEN'], os.environ['PRICE_LIST']\n"
    say = "say(result=[held])" if runtime == "server" else "print(json.dumps({'result': [held]}))"
    given: dict[str, Any] = {"runtime": runtime, "env": ["SHOP_TOKEN", "PRICE_LIST"]}
    answer = await desk_of(program(code + say, **given))("calc")
    assert answer.value == [["***", "prices.csv"]]
    fail = "say(error=held[0])" if runtime == "server" else "sys.exit(held[0])"
    answer = await desk_of(program(code + fail, **given))("calc")
    assert answer.error
    assert "***" in answer.error
    assert "secret" not in answer.error
