"""Every word of the sample corpus has sounds, a level and a pitch."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from novoic_assets.synthetic import vocabulary
from novoic_assets.synthetic.people import draw_voice
from novoic_assets.synthetic.pronunciation import pronounce
from novoic_assets.synthetic.voice import PHONES, draw_channel, say

TEXT = " ".join(
    phrase
    for phrases in (
        *(scene_phrases for scene in vocabulary.SCENES for scene_phrases in vars(scene).values()),
        vocabulary.ADJECTIVES,
        vocabulary.ADVERBS,
        vocabulary.OPENERS,
        vocabulary.PROMPTS,
        vocabulary.BACKCHANNELS,
        vocabulary.FILLERS,
        vocabulary.VAGUE_THINGS,
        vocabulary.VAGUE_NEW_THINGS,
        vocabulary.VAGUE_PEOPLE,
        vocabulary.VAGUE_PLACES,
        vocabulary.VAGUE_DOING,
        vocabulary.VAGUE_ACTING,
        vocabulary.THING_PRONOUNS,
    )
    for phrase in phrases
)
WORDS = sorted(set(TEXT.split()))


def test_the_vocabulary_has_hundreds_of_words_each_with_known_sounds():
    assert len(WORDS) > 300
    for word in WORDS:
        assert pronounce(word)
        assert set(pronounce(word)) <= PHONES.keys()


@pytest.mark.parametrize(
    ("word", "phones"),
    [
        ("ship", ("sh", "ih", "p-", "p")),
        ("plate", ("p-", "p", "l", "ae", "t-", "t")),
        ("apple", ("ae", "p-", "p", "l")),
        ("the", ("dh", "ah")),
        ("um", ("ah", "m")),
        (".", ()),
        ("?", ()),
    ],
)
def test_pronunciation(word, phones):
    assert pronounce(word) == phones


@given(
    word=st.sampled_from(WORDS),
    ms=st.integers(60, 900),
    rate=st.sampled_from([8_000, 11_025, 16_000, 44_100, 48_000]),
    gender=st.sampled_from(["male", "female"]),
    shift=st.floats(0, 5),
    seed=st.integers(0, 1000),
)
@settings(max_examples=60, deadline=None, derandomize=True)
def test_any_word_sounds_from_its_first_to_its_last_10_ms_at_the_voices_level(word, ms, rate, gender, shift, seed):
    rng = np.random.default_rng(seed)
    voice = draw_voice(rng, gender, shift)
    size = round(ms * rate / 1000)
    sound = say([word, "."], [ms, 0], size, voice, draw_channel(rate, rng), rate, rng)
    assert sound.dtype == np.float32
    assert sound.shape == (size,)
    assert np.isfinite(sound).all()
    assert 20 * np.log10(np.sqrt(np.mean(sound**2))) == pytest.approx(voice.level, abs=2)
    edge = round(0.01 * rate)
    for end in (sound[:edge], sound[-edge:]):
        assert np.max(np.abs(end)) > 10 ** (-55 / 20)


def test_the_pitch_is_the_voices():
    rng = np.random.default_rng(0)
    for gender in ("male", "female"):
        voice = replace(draw_voice(rng, gender, 0.0), f0_range=0.0)
        sound = say(["aw"], [500], 8000, voice, draw_channel(16_000, rng), 16_000, rng)
        echo = np.correlate(sound, sound, "full")[len(sound) - 1 :]
        lags = np.arange(round(16_000 / (1.5 * voice.f0)), round(16_000 / (0.7 * voice.f0)))
        f0 = 16_000 / lags[np.argmax(echo[lags])]
        assert f0 == pytest.approx(voice.f0, rel=0.03)
