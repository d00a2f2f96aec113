"""Helpers for agents on the telephone: tunnels, and an adapter behind one."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import pytest
from twilio_service import ACCOUNT, NUMBER, OTHER, TOKEN, twilio_service

from duologue.errors import ConfigurationError
from duologue.voice.testing import CloudflareTunnel, TwilioHarness


def _program(folder: Path, body: str) -> str:
    """A program in place of ``cloudflared``."""
    path = folder / "cloudflared"
    path.write_text(f"#!{sys.executable}\nimport os, pathlib, sys, time\n{body}\n")
    path.chmod(0o755)
    return str(path)


_TUNNEL = """
pathlib.Path(sys.argv[0] + ".ran").write_text(f"{os.getpid()} {sys.argv[1:]}")
print("INF Requesting new quick Tunnel on trycloudflare.com...", file=sys.stderr, flush=True)
print("INF |  https://some-words-here.trycloudflare.com  |", file=sys.stderr, flush=True)
while True:
    print("INF still here" * 100, file=sys.stderr, flush=True)
    time.sleep(0.001)
"""


async def test_a_tunnel_gives_its_address_and_is_closed(tmp_path: Path) -> None:
    program = _program(tmp_path, _TUNNEL)
    async with CloudflareTunnel(8765, program=program) as address:
        assert address == "https://some-words-here.trycloudflare.com"
        pid, _, arguments = (tmp_path / "cloudflared.ran").read_text().partition(" ")
        assert arguments == "['tunnel', '--no-autoupdate', '--url', 'http://127.0.0.1:8765']"
        os.kill(int(pid), 0)
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid), 0)


async def test_a_tunnel_that_gives_no_address(tmp_path: Path) -> None:
    program = _program(tmp_path, 'sys.exit("ERR no such account")')
    with pytest.raises(ConfigurationError, match=r"gave no address within 60 s; it said: ERR no such account"):
        await CloudflareTunnel(8765, program=program).__aenter__()
    program = _program(tmp_path, "time.sleep(600)")
    with pytest.raises(ConfigurationError, match=r"gave no address within 0\.1 s"):
        await CloudflareTunnel(8765, program=program, timeout=0.1).__aenter__()


async def test_a_tunnel_without_its_program(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigurationError, match="needs the program 'cloudflared-of-nobody', which is not installed"):
        await CloudflareTunnel(8765, program="cloudflared-of-nobody").__aenter__()


async def test_an_adapter_behind_a_tunnel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TWILIO_ACCOUNT_SID", ACCOUNT)
    monkeypatch.setenv("TWILIO_AUTH_TOKEN", TOKEN)
    monkeypatch.setenv("TWILIO_PHONE_NUMBER", NUMBER)
    tunnel: Any = CloudflareTunnel(0, program=_program(tmp_path, _TUNNEL))
    async with twilio_service() as service:
        async with TwilioHarness(http_port=0, tunnel=tunnel, api_url=service.url) as phone:
            service.port = phone.http_port
            await phone.place_call(OTHER)
        form = dict(service.forms("/Calls.json")[0])
        assert form["StatusCallback"] == "https://some-words-here.trycloudflare.com/twilio/status"
        assert service.statuses == ["completed"]
    assert tunnel._process is None


async def test_a_harness_that_cannot_begin_leaves_nothing(tmp_path: Path) -> None:
    tunnel: Any = CloudflareTunnel(0, program=_program(tmp_path, _TUNNEL))
    with pytest.raises(ConfigurationError, match="phone_number is 'none'"):
        await TwilioHarness(tunnel=tunnel, account_sid=ACCOUNT, auth_token=TOKEN, phone_number="none").__aenter__()
    assert tunnel._process is None
