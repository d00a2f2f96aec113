"""What happens to a voice on its way."""

from __future__ import annotations

import inspect

import numpy as np
import pytest

from duologue.errors import ConfigurationError
from duologue.specs.voice import SoundEffect
from duologue.suites.manifests.validate.effects import effect_of
from duologue.voice import effects
from duologue.voice.audio import wav_from
from duologue.voice.noise import PLACES, background

SEEDED = {
    "background_noise": lambda seed: effects.background_noise("cafe", seed=seed),
    "babble": lambda seed: effects.babble(10, seed=seed),
    "static": lambda seed: effects.static(seed=seed),
    "multiple_voices": lambda seed: effects.multiple_voices(seed=seed),
    "packet_loss": lambda seed: effects.packet_loss(0.3, seed=seed),
    "breaking_up": lambda seed: effects.breaking_up(seed=seed),
}
OTHERS = {
    "echo": effects.echo,
    "phone_quality": effects.phone_quality,
    "low_quality": effects.low_quality,
    "robotic": effects.robotic,
    "low_volume": effects.low_volume,
    "high_volume": effects.high_volume,
    "clipping": effects.clipping,
}
STRETCHING = ("speaking_fast", "speaking_slow")


def speech(seconds: float = 1.0) -> bytes:
    """Something with the loudness and the pauses of speech."""
    times = np.arange(round(seconds * 24_000)) / 24_000
    loud = np.clip(np.sin(2 * np.pi * 1.5 * times), 0, None)
    return np.rint(np.sin(2 * np.pi * 200 * times) * loud * 9000).astype("<i2").tobytes()


def samples(pcm: bytes) -> np.ndarray:
    return np.frombuffer(pcm, dtype="<i2").astype(float)


def level(pcm: bytes) -> float:
    return float(np.sqrt(np.mean(samples(pcm) ** 2)))


@pytest.mark.parametrize("name", SEEDED)
def test_the_same_seed_makes_the_same_sound_and_another_another(name: str):
    make = SEEDED[name]
    assert make(1)(speech()) == make(1)(speech())
    assert make(1)(speech()) != make(2)(speech())
    assert make(1)(speech()) != speech()


@pytest.mark.parametrize("name", [*SEEDED, *OTHERS])
@pytest.mark.parametrize("seconds", [0.0, 0.0005, 0.021, 1.0])
def test_as_many_samples_come_out_as_go_in(name: str, seconds: float):
    effect = SEEDED[name](0) if name in SEEDED else OTHERS[name]()
    assert len(effect(speech(seconds))) == len(speech(seconds))
    assert effect.name == name


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("snr", [0.0, 15.0])
def test_noise_has_the_level_that_is_asked_for(place: str, snr: float):
    pcm = speech(4.0)
    noise = samples(effects.background_noise(place, snr=snr)(pcm)) - samples(pcm)
    spoken = samples(pcm)[np.abs(samples(pcm)) > 0]
    found = 20 * np.log10(np.sqrt(np.mean(spoken**2)) / np.sqrt(np.mean(noise**2)))
    assert found == pytest.approx(snr, abs=3)


def test_silence_gets_no_noise_at_a_ratio_to_speech():
    assert level(effects.babble(15)(bytes(48_000))) == 0


@pytest.mark.parametrize("place", PLACES)
def test_places_sound_different_and_are_never_silent(place: str):
    bed = background(place, 5 * 24_000, 3)
    assert np.isfinite(bed).all()
    frames = np.sqrt((bed.reshape(-1, 12_000) ** 2).mean(axis=1))
    assert frames.min() > 0.02
    others = [background(other, 24_000, 3) for other in PLACES if other != place]
    assert all(not np.allclose(bed[:24_000], other) for other in others)


def test_a_misspelt_place_is_named_and_a_file_is_a_place(tmp_path):
    with pytest.raises(ValueError, match="did you mean 'cafe'"):
        effects.background_noise("caffe")
    path = tmp_path / "rain.wav"
    path.write_bytes(wav_from(speech(0.2)))
    assert effects.background_noise(path, volume=1.0)(bytes(48_000)) != bytes(48_000)


def test_a_telephone_keeps_what_telephones_keep():
    times = np.arange(24_000) / 24_000
    for hertz, kept in ((100, False), (1000, True), (3000, True), (6000, False)):
        pcm = np.rint(np.sin(2 * np.pi * hertz * times) * 9000).astype("<i2").tobytes()
        ratio = level(effects.phone_quality()(pcm)) / level(pcm)
        assert (ratio > 0.8) if kept else (ratio < 0.05)


def test_packets_are_lost_as_often_and_as_long_as_asked():
    pcm = np.full(24_000 * 200, 1000, dtype="<i2").tobytes()
    for burst in (1.0, 4.0):
        lost = samples(effects.packet_loss(0.1, burst=burst, seed=5)(pcm)).reshape(-1, 480)[:, 0] == 0
        assert lost.mean() == pytest.approx(0.1, abs=0.025)
        runs = np.diff(np.flatnonzero(np.diff(np.concatenate([[0], lost.astype(int), [0]]))))[::2]
        assert runs.mean() == pytest.approx(1.11 if burst == 1 else 4, rel=0.25)
    assert effects.packet_loss(0)(pcm) == pcm
    assert level(effects.packet_loss(1)(pcm)) == 0
    late = samples(effects.packet_loss(0, jitter_ms=40, seed=5)(pcm)).reshape(-1, 480)[:, 0] == 0
    assert late.mean() == pytest.approx(0.159, abs=0.02)  # beyond one standard deviation, on one side


@pytest.mark.parametrize(("effect", "factor"), [(effects.speaking_fast, 1.3), (effects.speaking_slow, 0.7)])
def test_speed_changes_and_pitch_does_not(effect, factor: float):
    pcm = speech(2.0)
    made = effect(factor)(pcm)
    assert len(made) == pytest.approx(len(pcm) / factor, rel=0.01)
    spectrum = np.abs(np.fft.rfft(samples(made)))
    assert np.fft.rfftfreq(len(made) // 2, 1 / 24_000)[spectrum.argmax()] == pytest.approx(200, abs=8)


def test_an_echo_is_heard_after_its_delay():
    click = np.zeros(24_000, dtype="<i2")
    click[100] = 20_000
    made = samples(effects.echo(200, 0.5)(click.tobytes()))
    assert [made[100], made[100 + 4800], made[100 + 9600]] == pytest.approx([20_000, 10_000, 5000], abs=2)


def test_effects_follow_each_other():
    both = effects.chain(effects.low_volume(0.5), effects.low_volume(0.5))
    assert level(both(speech())) == pytest.approx(level(speech()) / 4, rel=0.01)
    assert effects.chain()(speech()) == speech()


def test_an_effect_of_ones_own():
    assert effects.custom(lambda pcm: pcm[::-1])(speech()) != speech()
    with pytest.raises(ValueError, match="expected PCM16, two for each sample"):
        effects.custom(lambda pcm: b"odd")(speech())


@pytest.mark.parametrize(
    "make",
    [
        lambda: effects.packet_loss(1.5),
        lambda: effects.packet_loss(0.1, 0),
        lambda: effects.echo(0),
        lambda: effects.echo(100, 1),
        lambda: effects.speaking_fast(0),
        lambda: effects.multiple_voices(b""),
    ],
)
def test_parameters_that_mean_nothing_are_refused(make):
    with pytest.raises(ValueError, match=r"expected|empty"):
        make()


@pytest.mark.parametrize("value", ["loud", "0.1", True, [1], float("nan"), float("inf")], ids=repr)
@pytest.mark.parametrize(
    ("effect", "parameter"),
    [
        (effects.background_noise, "snr"),
        (effects.background_noise, "volume"),
        (effects.babble, "snr"),
        (effects.static, "intensity"),
        (effects.packet_loss, "probability"),
        (effects.packet_loss, "jitter_ms"),
        (effects.breaking_up, "chunk_ms"),
        (effects.low_volume, "factor"),
        (effects.clipping, "decibels"),
        (effects.echo, "decay"),
        (effects.low_quality, "bitrate"),
        (effects.robotic, "hertz"),
        (effects.speaking_fast, "factor"),
    ],
    ids=lambda item: getattr(item, "__name__", item),
)
def test_parameters_that_are_no_numbers_are_named(effect, parameter: str, value):
    with pytest.raises(ValueError, match=f"{parameter}: expected a number; found"):
        effect(**{parameter: value})


NUMBERS = (-1, 0, 0.5, 1, 1e-308, 1e308, -1e308, 1e9, 2**63, -(2**63), 2**64, 10**30, 10**400, 8000.5, None)
MADE_BY_NAME = {name: made for name, made in vars(effects).items() if name in {*SEEDED, *OTHERS, *STRETCHING}}


@pytest.mark.parametrize(
    ("name", "parameter"),
    [
        (name, parameter)
        for name, made in MADE_BY_NAME.items()
        for parameter in inspect.signature(made).parameters
        if parameter not in {"preset", "background_audio"}
    ],
)
def test_a_number_is_refused_where_it_is_written_or_can_be_calculated_with(name: str, parameter: str):
    pcm = speech()[:48_000]
    refused: list[str] = []
    for value in NUMBERS:
        try:
            effect = effect_of(SoundEffect(name=name, params={parameter: value}))
        except ConfigurationError as error:
            refused.append(str(error))
        else:
            assert len(effect(pcm)) <= 4 * len(pcm) + 2
    assert 0 < len(refused) < len(NUMBERS)
    assert all(told.startswith(f"the effect '{name}': ") and len(told) < 300 for told in refused)


@pytest.mark.parametrize("preset", ["x" * 5000, 10**300, "a\0b", "", "/", "/dev/zero"], ids=["long", "number", *"0e/z"])
def test_a_preset_that_is_no_file_is_refused(preset):
    with pytest.raises(ConfigurationError, match="is neither a file nor one of"):
        effect_of(SoundEffect(name="background_noise", params={"preset": preset}))


def test_too_loud_is_cut_off_and_does_not_wrap_around():
    loud = np.full(2400, 30_000, dtype="<i2").tobytes()
    assert set(samples(effects.high_volume(4)(loud))) == {32_767.0}
    assert level(effects.clipping(20)(speech())) > level(speech())
