from __future__ import annotations

import pytest
from arena_files import ARENA, PERSONA, PROMPT, PROVIDER, SCENARIO, manifest

from duologue.suites.manifests.loader import load


@pytest.fixture
def arena(tmp_path, monkeypatch):
    """Writes an arena, with other texts for some of its files, and reads it."""
    monkeypatch.chdir(tmp_path)

    def written(read=load, **texts):
        files = {
            "config.arena": manifest("Arena", "shop", texts.pop("arena", ARENA)),
            "m": PROVIDER,
            "prompt": PROMPT,
            "anna": PERSONA,
            "answers": "{}",
            "s": manifest("Scenario", "s", texts.pop("scenario", SCENARIO)),
            **texts,
        }
        for name, text in files.items():
            path = tmp_path / f"{name}.yaml"
            path.parent.mkdir(exist_ok=True)
            path.write_text(text)
        return read(".")

    return written
