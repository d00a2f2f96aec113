import asyncio
import os
import sys
from pathlib import Path

import pytest

from duologue.config.processes import ProgramError, environment_with, run_program


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


def alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


async def gone(pid: int) -> bool:
    for _ in range(200):
        if not alive(pid):
            return True
        await asyncio.sleep(0.01)
    return False


async def test_a_program_gets_its_input_folder_and_environment_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SHARED", "yes")
    monkeypatch.setenv("SECRET", "no")
    code = "import os, sys; print(sys.stdin.read(), os.getcwd(), [*map(os.environ.get, ('SHARED', 'SECRET'))])"
    environment = environment_with(["SHARED", "MISSING"])
    out = await run_program(python(code), given=b"hello", environment=environment, folder=tmp_path)
    assert out.decode().split(maxsplit=2) == ["hello", str(tmp_path), "['yes', None]\n"]


async def test_a_program_that_fails_says_why() -> None:
    code = "import sys; sys.stderr.write('x' * 100_000 + 'out of paper'); sys.exit(3)"
    with pytest.raises(ProgramError, match=r"ended with code 3: .*out of paper$"):
        await run_program(python(code), environment=environment_with())


async def test_input_that_nobody_reads_is_no_failure() -> None:
    out = await run_program(python("print('done')"), given=b"x" * 5_000_000, environment=environment_with())
    assert out == b"done\n"


async def test_output_without_end_is_stopped() -> None:
    with pytest.raises(ProgramError, match="wrote more than 1000 bytes"):
        await run_program(python("while True: print('x' * 100)"), environment=environment_with(), max_output=1000)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
async def test_what_a_program_started_ends_with_it(tmp_path: Path) -> None:
    note = tmp_path / "pid"
    code = f"""
import pathlib, subprocess, sys
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
pathlib.Path({str(note)!r}).write_text(str(child.pid))
child.wait()
"""
    with pytest.raises(TimeoutError):
        await run_program(python(code), environment=environment_with(), timeout=2)
    assert await gone(int(note.read_text()))


async def test_a_program_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No such file"):
        await run_program([str(tmp_path / "missing")], environment=dict(os.environ))
