"""Models that answer from a file, so that a suite runs without a key and without a network.

``file`` reads response files, ``lookup`` finds the answer, ``model`` is the model that gives it, ``verdicts`` writes
out what a judge is to say, ``generate`` makes a file of stored runs.

Importing this package makes the names ``mock/FILE.yaml``, ``mock/FILE.yml`` and ``mock/FILE.json`` known.
"""

from __future__ import annotations

from duologue.models.mock.file import ResponseFile
from duologue.models.mock.model import MockModel, model_from
from duologue.models.scripted import register_mock

__all__ = ["MockModel", "ResponseFile"]

for _suffix in (".yaml", ".yml", ".json"):
    register_mock(_suffix, model_from)
