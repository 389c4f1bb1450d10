"""The people of the sample corpus: the patients, and how each person talks and sounds.

Cases differ from controls only by a `shift` of the parameters below. It is 0 for controls, `effect` for cases and less
for mild cases. Each parameter also varies between people, at least as much as between the classes.
"""

import math
from dataclasses import dataclass

import numpy as np

TEST_SHARE = 0.3
UNDER_60_SHARE = 0.3
OVER_79_SHARE = 0.08
MILD_SHARE = 0.2
MILD_MMSE = (27, 29)
CASE_MMSE = (10, 24)
CONTROL_MMSE = (26, 30)
MILD_SEVERITY = 0.8  # of the full effect, for cases whose MMSE is above 26
FEWEST_WITH_A_MISSING_MMSE = 10
FEWEST_WITH_TWO_MISSING_MMSE = 40


@dataclass(frozen=True)
class InventedPatient:
    """An invented patient: one row of the sample corpus' metadata.

    Attributes:
        number: The number of the row, from 1.
        age: Age in years.
        gender: `male` or `female`.
        mmse: Mini-Mental State Examination, 0 to 30; None if it is missing.
        is_case: Whether `ad_status` is 1.
        is_mild: Whether the patient is a case with an MMSE above 26.
        split: `train` or `test`.
    """

    number: int
    age: int
    gender: str
    mmse: int | None
    is_case: bool
    is_mild: bool
    split: str

    @property
    def speakerid(self) -> str:
        """The id in the metadata and the transcripts."""
        return f"speaker_SYN{self.number:05d}"

    def shift(self, effect: float) -> float:
        """Return how far this patient's parameters lie from a control's; a full case's shift is `effect`."""
        if not self.is_case:
            return 0.0
        return effect * MILD_SEVERITY if self.is_mild else effect


@dataclass(frozen=True)
class Habits:
    """How a person talks.

    Attributes:
        rate: Speed; 1 is usual.
        filler: Probability of "uh" or "um" before a word.
        um: Share of "um" among the fillers.
        repetition: Probability that a word is said twice.
        pause: Probability of a pause after a word.
        pause_seconds: Mean length of a pause in s, beyond the shortest pause.
        pronoun: Probability of a pronoun instead of a noun.
        vague: Probability of a vague word ("something", "there") instead of a precise one.
        narrowness: Exponent of the preference for usual words; 0 for no preference.
    """

    rate: float
    filler: float
    um: float
    repetition: float
    pause: float
    pause_seconds: float
    pronoun: float
    vague: float
    narrowness: float


@dataclass(frozen=True)
class Voice:
    """How a person sounds.

    Attributes:
        f0: Mean fundamental frequency in Hz.
        f0_range: Spread of the intonation in semitones.
        jitter: Variation of the glottal period, as a share of it.
        shimmer: Variation of the glottal pulses' amplitude, as a share of it.
        breath: Level of the breath noise in vowels in dB, relative to the voice.
        tilt: Slope of the voice's spectrum in dB per octave.
        formant_scale: Formant frequencies, relative to an average man's.
        level: RMS level of speech in dB relative to full scale.
    """

    f0: float
    f0_range: float
    jitter: float
    shimmer: float
    breath: float
    tilt: float
    formant_scale: float
    level: float


def _draw_cell(*, is_case: bool, split: str, size: int, rng: np.random.Generator) -> list[InventedPatient]:
    """Draw the patients of one class and split, with the required shares of ages and mild cases."""
    is_young = rng.permutation(size) < math.ceil(UNDER_60_SHARE * size)
    mild = max(min(2, size // 4), round(MILD_SHARE * size)) if is_case else 0
    is_mild = rng.permutation(size) < mild
    patients = []
    for young, patient_is_mild in zip(is_young, is_mild, strict=True):
        ages = (50, 59) if young else (80, 92) if rng.random() < OVER_79_SHARE else (60, 79)
        scores = MILD_MMSE if patient_is_mild else CASE_MMSE if is_case else CONTROL_MMSE
        patients.append(
            InventedPatient(
                number=0,
                age=int(rng.integers(*ages, endpoint=True)),
                gender="female" if rng.random() < 0.5 else "male",
                mmse=int(rng.integers(*scores, endpoint=True)),
                is_case=is_case,
                is_mild=bool(patient_is_mild),
                split=split,
            )
        )
    return patients


def draw_patients(count: int, rng: np.random.Generator) -> tuple[InventedPatient, ...]:
    """Draw patients of both classes and splits, in an order that does not depend on either.

    Args:
        count: Number of patients, at least 1. Half are cases; of an odd number, one more is a control.
        rng: Source of randomness.

    Returns:
        The patients, numbered from 1. In each class and split at least 30 % are younger than 60, and about 20 % of the
        cases are mild, as far as the numbers allow. The MMSE of one patient is missing from 10 patients on, that of
        two from 40 on.
    """
    drawn: list[InventedPatient] = []
    for is_case, size in ((False, count - count // 2), (True, count // 2)):
        tests = max(round(TEST_SHARE * size), 1) if size > 1 else 0
        drawn += _draw_cell(is_case=is_case, split="train", size=size - tests, rng=rng)
        drawn += _draw_cell(is_case=is_case, split="test", size=tests, rng=rng)

    missing: set[int] = set()
    if count >= FEWEST_WITH_A_MISSING_MMSE:
        missing.add(next(i for i, p in enumerate(drawn) if p.is_case and not p.is_mild))
    if count >= FEWEST_WITH_TWO_MISSING_MMSE:
        missing.add(0)  # a control

    patients = []
    for number, i in enumerate(rng.permutation(count), start=1):
        p = drawn[i]
        mmse = None if i in missing else p.mmse
        patients.append(InventedPatient(number, p.age, p.gender, mmse, p.is_case, p.is_mild, p.split))
    return tuple(patients)


def _probability(log_odds: float) -> float:
    return 1.0 / (1.0 + math.exp(-log_odds))


def draw_habits(rng: np.random.Generator, shift: float) -> Habits:
    """Draw how a person talks.

    Args:
        rng: Source of randomness; the number of draws does not depend on the shift.
        shift: Distance from the controls; 0 for a control.

    Returns:
        The habits.
    """
    z = rng.standard_normal(9)
    return Habits(
        rate=math.exp(0.13 * z[0] - 0.15 * shift),
        filler=_probability(-3.2 + 0.5 * z[1] + 0.8 * shift),
        um=_probability(z[2]),
        repetition=_probability(-4.0 + 0.5 * z[3] + 0.9 * shift),
        pause=_probability(-2.5 + 0.4 * z[4] + 0.5 * shift),
        pause_seconds=0.45 * math.exp(0.25 * z[5] + 0.4 * shift),
        pronoun=_probability(-1.4 + 0.6 * z[6] + 1.0 * shift),
        vague=_probability(-2.4 + 0.6 * z[7] + 1.15 * shift),
        narrowness=max(0.0, 0.3 + 0.2 * z[8] + 0.6 * shift),
    )


def draw_voice(rng: np.random.Generator, gender: str, shift: float) -> Voice:
    """Draw how a person sounds.

    Args:
        rng: Source of randomness; the number of draws does not depend on the shift.
        gender: `male` or `female`.
        shift: Distance from the controls; 0 for a control.

    Returns:
        The voice.
    """
    z = rng.standard_normal(7)
    f0, formant_scale = (200.0, 1.15) if gender == "female" else (115.0, 1.0)
    return Voice(
        f0=f0 * math.exp(0.12 * z[0] - 0.06 * shift),
        f0_range=2.2 * math.exp(0.25 * z[1] - 0.4 * shift),
        jitter=0.006 * math.exp(0.3 * z[2] + 0.4 * shift),
        shimmer=0.05 * math.exp(0.3 * z[3] + 0.3 * shift),
        breath=-26.0 + 3.0 * z[4] + 7.0 * shift,
        tilt=-7.0 + 1.0 * z[5] - 2.4 * shift,
        formant_scale=formant_scale * math.exp(0.03 * z[6]),
        level=float(rng.uniform(-26.0, -21.0)),
    )
