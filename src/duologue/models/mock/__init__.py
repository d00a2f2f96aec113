"""Models that answer from a response file, so that a suite runs without a key and without a network.

``file`` reads a response file and is the model that answers from it; its fields are described in ``shapes``, and
``verdicts`` writes out what a judge is to say. The names ``mock/FILE.yaml``, ``mock/FILE.yml`` and ``mock/FILE.json``
lead here, by entry points of ``duologue.mock_models``.
"""

from __future__ import annotations

from duologue.models.mock.file import MockModel, ResponseFile, model_from

__all__ = ["MockModel", "ResponseFile", "model_from"]
