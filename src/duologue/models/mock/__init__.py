"""Models that answer from a file, so that a suite runs without a key and without a network.

``file`` reads response files, ``lookup`` finds the answer, ``model`` is the model that gives it, ``verdicts`` writes
out what a judge is to say, ``generate`` makes a file of stored runs.

The names ``mock/FILE.yaml``, ``mock/FILE.yml`` and ``mock/FILE.json`` lead here, by entry points of
``duologue.mock_models``.
"""

from __future__ import annotations

from duologue.models.mock.file import ResponseFile
from duologue.models.mock.model import MockModel, model_from

__all__ = ["MockModel", "ResponseFile", "model_from"]
