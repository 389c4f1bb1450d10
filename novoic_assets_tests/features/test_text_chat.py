"""CHAT's marks, and the build of utterances."""

import pylangacq
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from novoic_assets.features.text.chat import chat_tokens
from novoic_assets.features.text.conversation import Conversation
from novoic_assets.features.text.utterances import TokenKind, plain_tokens
from novoic_assets.sessions.transcript import Segment, Word
from novoic_assets_tests.features.spoken import WORDS, conversations, talk

SIGNS = {TokenKind.WORD: "", TokenKind.FILLER: "F:", TokenKind.UNINTELLIGIBLE: "X:", TokenKind.PUNCTUATION: ""}


def read(text: str) -> str:
    """The tokens of a text in CHAT; retraced ones end in `*`."""
    tokens = chat_tokens((word, 0) for word in text.split())
    return " ".join(SIGNS[token.kind] + token.text + "*" * token.is_retraced for token in tokens)


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("the boy falls .", "the boy falls ."),
        # Fillers with either of CHAT's marks and without one; fragments and nonwords
        ("&-uh the &um boy uh ha@fp &-you_know .", "F:uh the F:um boy F:uh F:ha F:you-know ."),
        ("&+fr friend &~gaga &fr", "friend"),
        # Unintelligible words
        ("xxx yyy@u www XXX [?]", "X:xxx X:yyy X:www X:xxx"),
        # Taken back or repeated
        ("the [/] the boy", "the* the boy"),
        ("<the boy> [//] the girl", "the* boy* the girl"),
        ("<the boy [/] boy> [//] a girl", "the* boy* boy* a girl"),
        ("<I want> [///] can I", "I* want* can I"),
        ("<he was> [/-] they run", "he* was* they run"),
        ("<he &-um was> [/?] they run", "he* F:um* was* they run"),
        ("so [e] they run", "so* they run"),
        ("the[/] the <a b>[//] c", "the* the a* b* c"),
        ("<the cat> [*] [//] a dog", "the* cat* a dog"),
        # Replaced words, with a mark of one word or several; a real word said in the place of another stays
        ("gonna [: going to] go", "going to go"),
        ("<gim me> [: give me] [/] give", "give* me* give"),
        ("piece [:: peach] .", "piece ."),
        # Shortening, lengthening, stress, compounds, forms
        (
            "(be)cause gon(na) wo:rd \u02c8stress^ed hot+dog Empire_State",
            "because gonna word stressed hot-dog Empire-State",
        ),
        ("woof@o b@l gumma@c hola@s:spa walk$v", "woof b gumma hola walk"),
        # Terminators, separators, linkers
        ('so +... so +..? so +/. so +//? so +!? so +"/. so +.', "so . so ? so . so ? so ? so . so ."),
        ("+< yes ++ no +^ so +, and ‡ well , you „ no", "yes no so and , well , you , no"),
        # Marks that are not words
        ("&=laughs (.) a (..) b (...) c (1.5) d (1:03.2) e", "a b c d e"),
        ("0is 0 &*INV:mhm a [+ exc] [% a comment] [=! whispers] [= that] [<] [>] [x 3] [!!]", "a"),
        ("a •0_1530• b", "a b"),
        # Marks against the manual's rules lose no word
        ("a [ b c .", "a b c ."),
        ("a ] > b < c", "a b c"),
        ("[//] a", "a"),
        ("a [ b [//] c", "a b* c"),
        ("0.5 12,30", "0.5 12,30"),
        ("( ) ^ \u2191", ""),
    ],
)
def test_marks(text: str, tokens: str) -> None:
    assert read(text) == tokens


LINES = [
    "&-uh the [/] the boy <is taking> [//] is steal [: stealing] cookies [* m] .",
    "(be)cause he's gon(na) fall &=laughs .",
    "well (.) and (..) then (2.5) the stool &+fr is tipping .",
    "+< mhm [+ exc] .",
    "&*INV:yes 0is <a b> [///] the mother don't see it ?",
    "they are gonna [: going to] go , &-um I think .",
    "dog [x 3] <the [/] the cat> [<] run !",
    "<she was> [//] &-um she's <drying a> [/] drying a dish [= plate] .",
    "the water's <running> [/] running over 0in the sink [+ gram] .",
]


def test_words_are_those_that_pylangacq_finds() -> None:
    header = "@UTF8\n@Begin\n@Languages:\teng\n@Participants:\tPAR Participant\n@ID:\teng|c|PAR|||||Participant|||\n"
    chat = pylangacq.CHAT.from_strs([header + "".join(f"*PAR:\t{line}\n" for line in LINES) + "@End\n"])
    for line, words in zip(LINES, chat.words(by_utterance=True), strict=True):
        tokens = chat_tokens((word, 0) for word in line.split())
        kept = [token.text for token in tokens if token.kind is not TokenKind.FILLER and not token.is_retraced]
        assert kept == words


@given(st.lists(st.text("abx&-+=[]<>/():.,?!@0^*\u2021\u2022_1 ", min_size=1, max_size=9).filter(str.strip)))
@example(["&-="])
def test_any_text_can_be_read(words: list[str]) -> None:
    tokens = chat_tokens((word, n) for n, word in enumerate(words))
    assert all(token.text and 0 <= token.segment < len(words) for token in tokens)
    assert all(any(map(str.isalnum, token.text)) == (token.kind is not TokenKind.PUNCTUATION) for token in tokens)


@given(st.lists(st.tuples(st.sampled_from(WORDS), st.integers(0, 9))))
def test_words_without_marks_are_the_same_with_and_without_guidelines(words: list[tuple[str, int]]) -> None:
    assert chat_tokens(words) == plain_tokens(words)


def test_without_guidelines_every_word_stands_for_itself() -> None:
    said = "the [/] xxx (be)cause &=laughs"
    plain = talk(("patient", said))
    assert plain.lexical_words("patient") == ["the", "xxx", "(be)cause", "&=laughs"]
    assert talk(("patient", said), guidelines="other").lexical_words("patient") == plain.lexical_words("patient")
    assert talk(("patient", said), guidelines="chat").lexical_words("patient") == ["because"]


# Utterances


def said(conversation: Conversation) -> list[tuple[str, str]]:
    return [
        (utterance.speaker, " ".join(token.text for token in utterance.tokens)) for utterance in conversation.utterances
    ]


def test_an_utterance_is_a_run_over_segments_and_within_them() -> None:
    mixed = Segment(5.0, 6.0, (Word("c", "patient"), Word("d", "investigator"), Word("e", "patient")))
    segments = [
        Segment(0.0, 1.0, (Word("a", "patient"),)),
        Segment(1.0, 2.0, ()),
        Segment(2.0, 3.0, (Word("b", "patient"), Word(".", "patient"))),
        mixed,
        Segment(7.0, 8.0, (Word("f", "other"),)),
        Segment(8.0, 9.0, (Word("g", "patient"),)),
    ]
    conversation = Conversation(segments)
    assert said(conversation) == [
        ("patient", "a b . c"),
        ("investigator", "d"),
        ("patient", "e"),
        ("other", "f"),
        ("patient", "g"),
    ]
    assert [token.segment for token in conversation.utterances[0].tokens] == [0, 2, 2, 3]
    assert len(conversation.said_by("all")) == 5
    assert len(conversation.said_by("patient")) == 3


def test_a_run_of_which_nothing_is_said_parts_no_utterance() -> None:
    conversation = talk(
        ("patient", "the boy"),
        ("investigator", "&=coughs ."),
        ("patient", "<falls down> [//] falls"),
        ("investigator", "xxx ."),
        ("patient", "&-um ."),
        guidelines="chat",
    )
    assert said(conversation) == [
        ("patient", "the boy falls down falls"),
        ("investigator", "xxx ."),
        ("patient", "um ."),
    ]


def test_a_code_does_not_reach_over_to_another_speaker() -> None:
    conversation = talk(("patient", "<the boy"), ("investigator", "mhm> [//]"), ("patient", "[/] a"), guidelines="chat")
    assert conversation.lexical_words("patient") == ["the", "boy", "a"]
    assert conversation.lexical_words("investigator") == []


@given(conversations(), st.sampled_from(["", "chat"]))
def test_every_token_is_some_speakers_and_in_order(conversation: Conversation, guidelines: str) -> None:
    conversation = Conversation(conversation.segments, guidelines)
    tokens = list(conversation.tokens("all"))
    assert [token.segment for token in tokens] == sorted(token.segment for token in tokens)
    parted = [len(list(conversation.tokens(role))) for role in ("patient", "investigator", "other")]  # type: ignore[arg-type]
    assert sum(parted) == len(tokens)
    neighbours = zip(conversation.utterances, conversation.utterances[1:], strict=False)
    assert all(one.speaker != other.speaker for one, other in neighbours)
