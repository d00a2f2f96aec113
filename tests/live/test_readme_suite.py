"""The suite of the README: an agent behind a URL, two personas of the embedded model, no key. It plays as it says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from duologue.cli.app import invoke
from duologue.demo.restaurant.server import RestaurantServer
from duologue.demo.scenarios import TODAY
from duologue.errors import ConfigurationError
from duologue.models.local import LocalModel

pytestmark = pytest.mark.live
README = Path(__file__).parents[2] / "README.md"
ADDRESS = "http://127.0.0.1:8000"


def test_the_suite_of_the_readme_passes(tmp_path, monkeypatch, capsys):
    try:
        LocalModel.from_config("local")
    except ConfigurationError as error:
        pytest.skip(str(error))
    [body] = re.findall(r"^```yaml\n(.*?)^```$", README.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    monkeypatch.chdir(tmp_path)
    with RestaurantServer(TODAY, isolated=True) as server:
        assert ADDRESS in body
        Path("suite.yaml").write_text(body.replace(ADDRESS, server.url))
        code = invoke(["run", "suite.yaml", "--out", "results", "--format", "html,junit"])
    assert code == 0, capsys.readouterr().out
    assert "2 test cases: 2 passed" in capsys.readouterr().out
    assert {"report.html", "junit.xml"} <= {path.name for path in Path("results").iterdir()}
