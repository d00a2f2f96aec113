"""The suite that ``duologue init`` writes passes as it is, with the model on this machine as user and judge."""

from __future__ import annotations

import pytest

from duologue.cli.app import invoke
from duologue.errors import ConfigurationError
from duologue.models.local import LocalModel

pytestmark = pytest.mark.live


def test_the_suite_of_init_passes_with_the_embedded_model(tmp_path, monkeypatch, capsys):
    try:
        LocalModel.from_config("local")
    except ConfigurationError as error:
        pytest.skip(str(error))
    monkeypatch.chdir(tmp_path)
    assert invoke(["init", "shop", "--template", "suite"]) == 0
    assert invoke(["run", "shop", "--ci", "--out", "out"]) == 0, capsys.readouterr().out
    assert "3 test cases: 3 passed" in capsys.readouterr().out
