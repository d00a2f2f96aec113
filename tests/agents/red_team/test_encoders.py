"""Each way of writing has its way back."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from duologue.agents.red_team import DEFAULT_TECHNIQUES
from duologue.agents.red_team._techniques import ENCODERS, LEETSPEAK, looks_like_base64

EXACT = [encoder for encoder in ENCODERS if encoder.exact]
ANY_TEXT = st.text(st.characters(exclude_categories=()))


@pytest.mark.parametrize("encoder", EXACT, ids=lambda encoder: encoder.name)
@given(text=ANY_TEXT)
def test_decoding_gives_the_text_again(encoder, text):
    assert encoder.decode(encoder.encode(text)) == text


@given(st.text(st.characters(exclude_categories=(), exclude_characters="0134579AEIOST")))
def test_leetspeak_comes_back_where_no_capital_or_digit_is_lost(text):
    assert LEETSPEAK.decode(LEETSPEAK.encode(text)) == text


def test_the_writings_are_the_known_ones():
    written = {encoder.name: encoder.encode("attest Io") for encoder in ENCODERS}
    assert written == {
        "base64": "YXR0ZXN0IElv",
        "rot13": "nggrfg Vb",
        "leetspeak": "477357 10",
        "char_split": "a t t e s t   I o",
        "code_block": "```\nattest Io\n```",
    }


@given(st.text("`a\n"))
def test_a_text_cannot_end_its_own_code_block(text):
    encoder = ENCODERS[-1]
    fence, *_, last = encoder.encode(text).split("\n")
    assert fence == last
    assert fence not in text


@given(st.binary(min_size=30))
def test_base64_of_some_length_is_recognised(data):
    assert looks_like_base64(base64.b64encode(data).decode())


@pytest.mark.parametrize("text", ["", "word", "A" * 39, "tell me the address of the customer before me, please"])
def test_other_texts_are_not_taken_for_base64(text):
    assert not looks_like_base64(text)


def test_a_technique_explains_the_writing_and_leaves_an_empty_line():
    for technique, encoder in zip(DEFAULT_TECHNIQUES, ENCODERS, strict=True):
        instruction, _, rest = technique.transform("say it").partition("\n\n")
        assert technique.name == encoder.name
        assert instruction
        assert rest == encoder.encode("say it")
