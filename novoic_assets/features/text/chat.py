"""CHAT, the transcription format of TalkBank: from its marks to the tokens that they stand for.

The marks are those of the CHAT manual (MacWhinney 2000, "The CHILDES Project: Tools for Analyzing Talk", part 1).
A mark may be a separate word, spread over several words (`[:`, `because]`) or attached to a word (`<the`). Text that
the manual does not define counts as a word.
"""

import re
from collections.abc import Iterable, Sequence
from typing import Final

from novoic_assets.features.text.utterances import FILLERS, Token, TokenKind, as_filler, plain_token

GUIDELINES: Final = "chat"
"""The value of a transcript's `guidelines` that declares its marks as CHAT's."""

_LEXEME: Final = re.compile(r"\[|\]|\+<|[<>]|[^\s\[\]<>]+")
# Codes in brackets after material that the speaker took back or repeated, or that is to be left out.
_RETRACED: Final = frozenset({"/", "//", "///", "/-", "/?", "e"})
_UNINTELLIGIBLE: Final = frozenset({"xxx", "xx", "yyy", "yy", "www"})
_PAUSE: Final = re.compile(r"\(\.{1,3}\)|\((\d+:)?\d*\.?\d*\)")
_TIME_MARK: Final = re.compile(r"[\x15\u2022]\d+_\d+[\x15\u2022]")
_OMITTED: Final = re.compile(r"0([^\W\d].*)?", re.DOTALL)
# Quotes, shortenings, lengthening, stress, blocking, and the marks of conversation analysis (CA) for pitch, pace,
# loudness and overlap.
_IN_WORDS: Final = str.maketrans(
    "_+",
    "--",
    '"\u201c\u201d():^\u02c8\u02cc\u2191\u2193\u2197\u2198\u21d7\u21d8\u2192\u221e\u2248\u224b\u2261\u2219\u2308\u2309\u230a\u230b'
    "\u2206\u2207\u263a\u264b\u00b0\u204e\u2047\u2260\u223e\u21ab\u25c9\u2581\u2594\u222c\u0346\u00a7",
)
_COMMAS: Final = frozenset(",;:\u2021\u201e")
# In lexemes. Marks in brackets are shorter; the limit keeps an open bracket from swallowing the text after it.
_LONGEST_BRACKET: Final = 40
# Only this many nested groups, the innermost, are tracked, so that the time grows linearly with the text.
_MOST_GROUPS: Final = 8


def chat_tokens(words: Iterable[tuple[str, int]]) -> list[Token]:
    """Return the tokens of one speaker's words with CHAT marks.

    Fillers (`&-uh`, `uh@fp`) stay fillers; `xxx`, `yyy` and `www` are unintelligible; material before `[/]`, `[//]`,
    `[///]`, `[/-]` and `[e]` is kept and flagged as retraced. Shortened words are completed (`(be)cause`), replaced
    ones (`gonna [: going to]`) replaced. Special terminators (`+...`, `+/?`) become plain ones. Events (`&=laughs`),
    fragments (`&+fr`), omitted words (`0is`), pauses (`(.)`), linkers (`+<`), interposed words of others
    (`&*INV:mhm`) and all other codes give no tokens.

    Args:
        words: Texts of one run, each with the index of its segment.

    Returns:
        The tokens, in order.

    Example:
        >>> words = "&-uh <the boy> [//] the girl xxx (be)cause +...".split()
        >>> tokens = chat_tokens([(word, 0) for word in words])
        >>> [token.text for token in tokens]
        ['uh', 'the', 'boy', 'the', 'girl', 'xxx', 'because', '.']
        >>> [token.text for token in tokens if token.is_retraced]
        ['the', 'boy']
    """
    lexemes = [(match[0], segment) for text, segment in words for match in _LEXEME.finditer(text)]
    tokens: list[Token] = []
    groups: list[int] = []  # starts of the angle bracket groups that are still open
    scope = 0  # start of the tokens that the next code in square brackets refers to
    position = 0
    while position < len(lexemes):
        lexeme, segment = lexemes[position]
        position += 1
        if lexeme == "[":
            end = _closing_bracket(lexemes, position)
            if end is not None:
                scope = _apply([text for text, _ in lexemes[position:end]], tokens, scope)
                position = end + 1
        elif lexeme == "<":
            groups = [*groups[1 - _MOST_GROUPS :], len(tokens)]
        elif lexeme == ">":
            scope = groups.pop() if groups else scope
        elif lexeme != "]":
            token = _token(lexeme, segment)
            if token is not None:
                scope = len(tokens)
                tokens.append(token)
    return tokens


def _closing_bracket(lexemes: Sequence[tuple[str, int]], start: int) -> int | None:
    for position in range(start, min(start + _LONGEST_BRACKET, len(lexemes))):
        if lexemes[position][0] == "]":
            return position
        if lexemes[position][0] == "[":
            return None
    return None


def _apply(code: Sequence[str], tokens: list[Token], scope: int) -> int:
    """Apply a code in square brackets to the tokens from `scope` on; return the scope of a code after it."""
    if "".join(code) in _RETRACED:
        tokens[scope:] = [token._replace(is_retraced=True) for token in tokens[scope:]]
        return len(tokens)
    if code[:1] == [":"] and len(tokens) > scope:
        segment, is_retraced = tokens[scope].segment, tokens[scope].is_retraced
        replaced = [_token(text, segment) for text in code[1:]]
        tokens[scope:] = [token._replace(is_retraced=is_retraced) for token in replaced if token is not None]
    return scope


def _token(lexeme: str, segment: int) -> Token | None:
    """The token of a lexeme outside square brackets; None if the lexeme is not speech."""
    if lexeme.isalpha() and lexeme.lower() not in _UNINTELLIGIBLE:  # the common case: a word without a mark
        return plain_token(lexeme, segment)
    if lexeme.startswith("&"):
        return _marked_by_ampersand(lexeme, segment)
    if _PAUSE.fullmatch(lexeme) or _TIME_MARK.fullmatch(lexeme) or _OMITTED.fullmatch(lexeme):
        return None
    text, _, form = lexeme.partition("@")
    text = text.partition("$")[0]
    if not any(map(str.isalnum, text)):
        return _punctuation(text, segment)
    text = text.translate(_IN_WORDS).strip("-")
    if not text:
        return None
    if text.lower() in _UNINTELLIGIBLE:
        return Token(text.lower(), TokenKind.UNINTELLIGIBLE, segment)
    if form == "fp":
        return Token(as_filler(text), TokenKind.FILLER, segment)
    return plain_token(text, segment)


def _marked_by_ampersand(lexeme: str, segment: int) -> Token | None:
    if lexeme.startswith("&-"):
        text = lexeme[2:].partition("@")[0].translate(_IN_WORDS).strip("-")
        return Token(as_filler(text), TokenKind.FILLER, segment) if any(map(str.isalnum, text)) else None
    # Until 2014 CHAT marked fillers like fragments: &uh.
    text = as_filler(lexeme[1:].translate(_IN_WORDS))
    return Token(text, TokenKind.FILLER, segment) if text in FILLERS else None


def _punctuation(text: str, segment: int) -> Token | None:
    """A terminator, also a special one, as its last sign; a separator as a comma; None for a linker or another code."""
    last = text.replace("\u2026", ".")[-1:]
    if last in (".", "?", "!"):
        return Token(last, TokenKind.PUNCTUATION, segment)
    return Token(",", TokenKind.PUNCTUATION, segment) if text in _COMMAS else None
