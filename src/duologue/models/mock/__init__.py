"""Models that answer from a response file, so that a suite runs without a key and without a network.

``model`` is the model. It finds its answer in a ``file``, whose fields are described in ``shapes``, and writes out what
a judge is to say with ``verdicts``. The names ``mock/FILE.yaml``, ``mock/FILE.yml`` and ``mock/FILE.json`` lead here,
by entry points of ``duologue.mock_models``.
"""

from __future__ import annotations

from duologue.models.mock.file import ResponseFile
from duologue.models.mock.model import MockModel, model_from

__all__ = ["MockModel", "ResponseFile", "model_from"]
