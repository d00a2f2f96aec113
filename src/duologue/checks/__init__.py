"""Checks: assertions about an agent's turns and conversations. A catalogue of types, and the means to add your own.

One registry serves checks of turns and of conversations, guardrails, and the evals of prompt packs.

    from duologue import checks

    checks.create("contains", {"patterns": ["refund"]}, min_score=1.0)

Importing this package registers nothing; the catalogue is loaded when the first check is created.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from duologue.checks.base import CatalogueCheck, CheckType, Finding, broken, finding, skipped
from duologue.checks.registry import Alias, CheckInfo, check, create, from_spec, is_known, known_types, registered
from duologue.checks.subject import Subject
from duologue.lazy_names import lazy_names
from duologue.models.resources import Classifier, Embedder, Media, Resources
from duologue.specs.checks import When

if TYPE_CHECKING:
    from duologue.checks.guardrails import Guardrail, Violation, guardrail, guardrail_from_spec
    from duologue.checks.pack_evals import PackEval, pack_eval

_HOMES = {
    "Guardrail": ".guardrails",
    "PackEval": ".pack_evals",
    "Violation": ".guardrails",
    "guardrail": ".guardrails",
    "guardrail_from_spec": ".guardrails",
    "pack_eval": ".pack_evals",
}

__all__ = [
    "Alias",
    "CatalogueCheck",
    "CheckInfo",
    "CheckType",
    "Classifier",
    "Embedder",
    "Finding",
    "Guardrail",
    "Media",
    "PackEval",
    "Resources",
    "Subject",
    "Violation",
    "When",
    "broken",
    "check",
    "create",
    "finding",
    "from_spec",
    "guardrail",
    "guardrail_from_spec",
    "is_known",
    "known_types",
    "pack_eval",
    "registered",
    "skipped",
]

__getattr__, __dir__ = lazy_names(__name__, _HOMES)
