"""Schemas of this package are built without pydantic's plugins; models of programs have them."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

PROBE = """
import os, sys
import pydantic.plugin._loader as loader

looked = []
found = loader.entry_points

def entry_points(**options):
    looked.append(options)
    return found(**options)

loader.entry_points = entry_points
"""
OURS = """
from duologue.cli.app import invoke
from duologue.journal.events import ErrorInfo
from duologue.settings import ModelConfig, ScenarioConfig

ScenarioConfig(default_model=ModelConfig(model="mock/x"))
ErrorInfo(type="a", message="b")
assert invoke(sys.argv[1:]) == 0
assert not looked, looked
"""
THEIRS = {
    "a model": "from pydantic import BaseModel\nclass Order(BaseModel):\n    size: int\nOrder(size=1)",
    "an heir": "from duologue.checks.base import CheckType\nclass Polite(CheckType):\n    size: int\nPolite(size=1)",
    "an adapter": "from pydantic import TypeAdapter\nTypeAdapter(list[int]).validate_python([1])",
}
SUITE = """\
apiVersion: duologue/v1
kind: Suite
metadata: {name: pizza}
spec:
  models: [{name: clerk, provider: mock, model: tiny}]
  agents: [{name: clerk, model: clerk}]
  prompts: [{name: support, system_template: You answer.}]
  scenarios:
    - name: order
      prompt: support
      turns: [{content: Hello, checks: [{type: max_length, params: {max: 500}}]}]
"""


@pytest.mark.parametrize(
    ("theirs", "disabled"), list(zip(THEIRS.values(), [None, "other-plugin", None], strict=True)), ids=list(THEIRS)
)
def test_only_models_of_programs_look_for_plugins(tmp_path, theirs, disabled):
    (tmp_path / "suite.yaml").write_text(SUITE)
    environment = {name: value for name, value in os.environ.items() if name != "PYDANTIC_DISABLE_PLUGINS"}
    environment |= {"PYDANTIC_DISABLE_PLUGINS": disabled} if disabled else {}
    same = f"assert os.environ.get('PYDANTIC_DISABLE_PLUGINS') == {disabled!r}"
    code = f"{PROBE}\n{OURS}\n{same}\n{theirs}\nassert looked == [{{'group': 'pydantic'}}], looked"
    arguments = ["run", str(tmp_path), "--mock-all", "--ci", "--out", str(tmp_path / "out")]
    command = [sys.executable, "-c", code, *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
