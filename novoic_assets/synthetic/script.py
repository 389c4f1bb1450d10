"""The script of a sample session: what is said, by whom and when.

An investigator asks questions, and a patient describes a picture in sentences made from templates. Pauses cut a
patient's turn into segments. Sometimes a turn begins before the other speaker's ends (overlapping segments), or the
investigator says a word within a patient's segment (a mixed segment).

Times are whole milliseconds, so that the transcript's three decimals are exact.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from novoic_assets.synthetic import vocabulary
from novoic_assets.synthetic.people import Habits
from novoic_assets.synthetic.pronunciation import pronounce
from novoic_assets.synthetic.voice import PHONES

PATIENT = "patient"
INVESTIGATOR = "investigator"

OVERLAP_SHARE = 0.04  # of turns
MIXED_SHARE = 0.04  # of the patient's segments
SENTENCES_PER_TURN = (2, 6)
SEGMENT_END_LENGTHENING = 1.25
SHORTEST_PAUSE_MS = 150
TYPICAL_SENTENCE_MS = 5000  # with its pauses
PUNCTUATION = (".", "?")


@dataclass(frozen=True)
class Part:
    """Words that one speaker says without a break.

    Attributes:
        speaker: `PATIENT` or `INVESTIGATOR`.
        words: Lower-case words and punctuation marks.
        durations: Length of each word in ms; 0 for punctuation.
    """

    speaker: str
    words: tuple[str, ...]
    durations: tuple[int, ...]

    @property
    def duration(self) -> int:
        """Length of the part in ms."""
        return sum(self.durations)


@dataclass(frozen=True)
class ScriptedSegment:
    """A stretch of speech without a pause. Its parts follow each other immediately.

    Attributes:
        start: Start in ms from the start of the recording.
        parts: One part, or several if the speaker changes within the segment.
    """

    start: int
    parts: tuple[Part, ...]

    @property
    def end(self) -> int:
        """End in ms from the start of the recording."""
        return self.start + sum(part.duration for part in self.parts)


@dataclass(frozen=True)
class Script:
    """The conversation of a session, to be spoken and written down.

    Attributes:
        segments: The segments in the order of their starts.
        duration: Length of the recording in ms; no segment ends later.
    """

    segments: tuple[ScriptedSegment, ...]
    duration: int


def _choose(rng: np.random.Generator, options: Sequence[str], narrowness: float = 0.0) -> str:
    """Choose one of the options. The greater the narrowness, the likelier are the first ones."""
    weights = np.arange(1, len(options) + 1) ** -narrowness
    return options[int(np.searchsorted(np.cumsum(weights), rng.random() * weights.sum(), side="right"))]


def _with_article(noun: str) -> str:
    return f"an {noun}" if noun[0] in "aeiou" else f"a {noun}"


class _Describer:
    """Fills the slots of the templates for one speaker and one scene."""

    def __init__(self, habits: Habits, rng: np.random.Generator) -> None:
        self._habits = habits
        self._rng = rng
        self._scene = vocabulary.SCENES[int(rng.integers(len(vocabulary.SCENES)))]

    def sentence(self) -> list[str]:
        """Make up a sentence.

        Returns:
            Its words and a full stop.
        """
        template = _choose(self._rng, vocabulary.TEMPLATES, 0.3 * self._habits.narrowness)
        phrases = [self._fill(token[1:-1]) if token.startswith("{") else token for token in template.split()]
        return [*" ".join(phrases).split(), "."]

    def _fill(self, slot: str) -> str:
        scene = self._scene
        match slot:
            case "person":
                return self._person()
            case "thing":
                return self._thing(vocabulary.VAGUE_THINGS, article="the")
            case "a_thing":
                return self._thing(vocabulary.VAGUE_NEW_THINGS, article="a")
            case "where":
                return self._precise_or_vague(scene.places, vocabulary.VAGUE_PLACES)
            case "doing":
                return self._precise_or_vague(scene.doing, vocabulary.VAGUE_DOING)
            case "acting":
                return self._precise_or_vague(scene.acting, vocabulary.VAGUE_ACTING)
            case "adverb":
                return _choose(self._rng, vocabulary.ADVERBS, self._habits.narrowness)
            case "opener":
                return _choose(self._rng, vocabulary.OPENERS, self._habits.narrowness)
        raise ValueError(f"unknown slot: {slot}")

    def _happens(self, probability: float) -> bool:
        return bool(self._rng.random() < probability)

    def _precise_or_vague(self, precise: Sequence[str], vague: Sequence[str]) -> str:
        if self._happens(self._habits.vague):
            return _choose(self._rng, vague)
        return _choose(self._rng, precise, self._habits.narrowness)

    def _person(self) -> str:
        is_woman = self._happens(0.5)
        if self._happens(self._habits.pronoun):
            return "she" if is_woman else "he"
        if self._happens(self._habits.vague):
            return _choose(self._rng, vocabulary.VAGUE_PEOPLE)
        people = self._scene.women if is_woman else self._scene.men
        return f"the {_choose(self._rng, people, self._habits.narrowness)}"

    def _thing(self, vague: Sequence[str], article: str) -> str:
        if self._happens(self._habits.pronoun):
            return _choose(self._rng, vocabulary.THING_PRONOUNS)
        if self._happens(self._habits.vague):
            return _choose(self._rng, vague)
        noun = _choose(self._rng, self._scene.things, self._habits.narrowness)
        if self._happens(0.4 * (1.0 - self._habits.vague)):
            noun = f"{_choose(self._rng, vocabulary.ADJECTIVES, self._habits.narrowness)} {noun}"
        return f"the {noun}" if article == "the" else _with_article(noun)


def _hesitate(words: Sequence[str], habits: Habits, rng: np.random.Generator) -> list[str]:
    """Put fillers before words, and repeat words, as often as the habits say."""
    uh, um = vocabulary.FILLERS
    said: list[str] = []
    for word in words:
        if word not in PUNCTUATION:
            if rng.random() < habits.filler:
                said.append(um if rng.random() < habits.um else uh)
            if rng.random() < habits.repetition:
                said.append(word)
        said.append(word)
    return said


def _cut_at_pauses(words: Sequence[str], habits: Habits, rng: np.random.Generator) -> Iterator[list[str]]:
    """Cut a sentence where the speaker pauses; punctuation stays with the word before it."""
    run: list[str] = []
    for i, word in enumerate(words):
        run.append(word)
        is_last = i + 1 == len(words)
        if is_last or (words[i + 1] not in PUNCTUATION and rng.random() < habits.pause):
            yield run
            run = []


def _part(speaker: str, words: Sequence[str], habits: Habits, rng: np.random.Generator) -> Part:
    """Give each word the length of its sounds at the speaker's speed, and the last word more."""
    durations = []
    spoken = [i for i, word in enumerate(words) if word not in PUNCTUATION]
    for i, word in enumerate(words):
        ms = 1000 * sum(PHONES[phone].seconds for phone in pronounce(word)) / habits.rate
        ms *= float(np.exp(0.1 * rng.standard_normal()))
        if i == spoken[-1]:
            ms *= SEGMENT_END_LENGTHENING
        durations.append(round(ms))
    return Part(speaker, tuple(words), tuple(durations))


def _pause_ms(habits: Habits, rng: np.random.Generator) -> int:
    return SHORTEST_PAUSE_MS + round(rng.exponential(1000 * habits.pause_seconds))


class _Timeline:
    """Places segments one after the other."""

    def __init__(self, start: int) -> None:
        self.now = start
        self.segments: list[ScriptedSegment] = []

    def add(self, parts: Sequence[Part]) -> None:
        """Place a segment at the present time and move on to its end."""
        segment = ScriptedSegment(self.now, tuple(parts))
        self.segments.append(segment)
        self.now = segment.end

    def wait(self, ms: int) -> None:
        """Leave a silence."""
        self.now += ms

    def interrupt(self, parts: Sequence[Part], share: float) -> None:
        """Place a segment that begins before the last one ends.

        Args:
            parts: The parts of the segment.
            share: Length of the overlap as a share of the shorter of the two segments, below 1.
        """
        last = self.segments[-1]
        shorter = min(last.end - last.start, sum(part.duration for part in parts))
        self.now = last.end - round(share * shorter)
        self.add(parts)


def _add_first(timeline: _Timeline, parts: Sequence[Part], rng: np.random.Generator) -> None:
    """Place the first segment of a turn, mostly after a short silence, sometimes over the other's last words."""
    if timeline.segments and rng.random() < OVERLAP_SHARE:
        timeline.interrupt(parts, share=float(rng.uniform(0.3, 0.7)))
        return
    if timeline.segments:
        timeline.wait(int(rng.integers(200, 900)))
    timeline.add(parts)


def _patient_parts(
    words: Sequence[str], habits: Habits, investigator: Habits, rng: np.random.Generator
) -> tuple[Part, ...]:
    """Say a run of words, sometimes with a word of the investigator within the segment."""
    if rng.random() >= MIXED_SHARE:
        return (_part(PATIENT, words, habits, rng),)
    spoken = sum(word not in PUNCTUATION for word in words)
    cut = int(rng.integers(1, spoken, endpoint=True))
    backchannel = _choose(rng, vocabulary.BACKCHANNELS).split()
    # If only punctuation is left over, the investigator has the last word.
    before, after = (words[:cut], words[cut:]) if cut < spoken else (words, [])
    parts = [_part(PATIENT, before, habits, rng), _part(INVESTIGATOR, backchannel, investigator, rng)]
    if after:
        parts.append(_part(PATIENT, after, habits, rng))
    return tuple(parts)


def write_script(seconds: float, patient: Habits, investigator: Habits, rng: np.random.Generator) -> Script:
    """Make up the conversation of a session.

    Args:
        seconds: Approximate length in s. Each speaker says something, however short that is.
        patient: How the patient talks.
        investigator: How the investigator talks.
        rng: Source of randomness.

    Returns:
        The script.
    """
    describer = _Describer(patient, rng)
    prompts = [vocabulary.PROMPTS[i] for i in rng.permutation(len(vocabulary.PROMPTS))]
    # Begin no sentence that would overshoot by more than the script falls short without it.
    last_start = 1000 * seconds - TYPICAL_SENTENCE_MS / 2
    timeline = _Timeline(start=int(rng.integers(100, 600)))
    turns = 0
    while timeline.now < last_start or not turns:
        prompt = [*prompts[turns % len(prompts)].split(), "?"]
        _add_first(timeline, (_part(INVESTIGATOR, prompt, investigator, rng),), rng)
        is_first = True
        for _ in range(int(rng.integers(*SENTENCES_PER_TURN, endpoint=True))):
            if timeline.now >= last_start and not is_first:
                break
            for run in _cut_at_pauses(_hesitate(describer.sentence(), patient, rng), patient, rng):
                parts = _patient_parts(run, patient, investigator, rng)
                if is_first:
                    _add_first(timeline, parts, rng)
                else:
                    timeline.wait(_pause_ms(patient, rng))
                    timeline.add(parts)
                is_first = False
        turns += 1
    return Script(tuple(timeline.segments), timeline.now + int(rng.integers(200, 800)))
