"""From a word's spelling to its sounds in the sample recordings.

A few spelling rules instead of a dictionary suffice to give each word its own length and sounds. A stop (`p`, `t`, `k`,
...) is a closure, whose name ends in `-`, and the burst that opens it.
"""

from functools import lru_cache

_WHOLE_WORDS: dict[str, tuple[str, ...]] = {
    "a": ("ah",),
    "the": ("dh", "ah"),
    "i": ("aa", "ih"),
    "is": ("ih", "z"),
    "are": ("aa", "r"),
    "one": ("w", "ah", "n"),
    "of": ("ah", "v"),
    "to": ("t-", "t", "uw"),
    "who": ("hh", "uw"),
    "what": ("w", "ah", "t-", "t"),
    "was": ("w", "ah", "z"),
    "mhm": ("m", "hh", "m"),
}

# Longest spellings first: the first match counts.
_SPELLINGS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("eigh", ("eh", "ih")),
    ("tion", ("sh", "ah", "n")),
    ("augh", ("ao",)),
    ("ough", ("ao",)),
    ("igh", ("aa", "ih")),
    ("tch", ("t-", "sh")),
    ("dge", ("d-", "zh")),
    ("sh", ("sh",)),
    ("ch", ("t-", "sh")),
    ("th", ("th",)),
    ("ph", ("f",)),
    ("wh", ("w",)),
    ("ck", ("k-", "k")),
    ("ng", ("ng",)),
    ("qu", ("k-", "k", "w")),
    ("kn", ("n",)),
    ("wr", ("r",)),
    ("ee", ("iy",)),
    ("ea", ("iy",)),
    ("ie", ("iy",)),
    ("oo", ("uw",)),
    ("ew", ("uw",)),
    ("ue", ("uw",)),
    ("ou", ("aa", "uh")),
    ("ow", ("aa", "uh")),
    ("oi", ("ao", "ih")),
    ("oy", ("ao", "ih")),
    ("ai", ("eh", "ih")),
    ("ay", ("eh", "ih")),
    ("ey", ("eh", "ih")),
    ("oa", ("ao", "uh")),
    ("au", ("ao",)),
    ("aw", ("ao",)),
    ("er", ("er",)),
    ("ir", ("er",)),
    ("ur", ("er",)),
    ("ce", ("s",)),
    ("ci", ("s", "ih")),
    ("cy", ("s", "iy")),
    ("a", ("ae",)),
    ("b", ("b-", "b")),
    ("c", ("k-", "k")),
    ("d", ("d-", "d")),
    ("e", ("eh",)),
    ("f", ("f",)),
    ("g", ("g-", "g")),
    ("h", ("hh",)),
    ("i", ("ih",)),
    ("j", ("d-", "zh")),
    ("k", ("k-", "k")),
    ("l", ("l",)),
    ("m", ("m",)),
    ("n", ("n",)),
    ("o", ("aa",)),
    ("p", ("p-", "p")),
    ("r", ("r",)),
    ("s", ("s",)),
    ("t", ("t-", "t")),
    ("u", ("ah",)),
    ("v", ("v",)),
    ("w", ("w",)),
    ("x", ("k-", "k", "s")),
    ("y", ("iy",)),
    ("z", ("z",)),
)
_LONGEST_VOWELLESS = 2


@lru_cache(maxsize=4096)
def pronounce(word: str) -> tuple[str, ...]:
    """Spell a word out as sounds.

    Args:
        word: One lower-case word or punctuation mark.

    Returns:
        The names of its sounds in order, as in `voice.PHONES`; empty for punctuation.

    Example:
        >>> pronounce("ship")
        ('sh', 'ih', 'p-', 'p')
    """
    if word in _WHOLE_WORDS:
        return _WHOLE_WORDS[word]
    rest = word
    if (
        len(rest) > _LONGEST_VOWELLESS
        and rest.endswith("e")
        and rest[-2] not in "aeiou"
        and any(v in rest[:-2] for v in "aeiou")
    ):
        rest = rest[:-1]  # the silent e of "plate"
    phones: list[str] = []
    while rest:
        spelling, sounds = next(((s, p) for s, p in _SPELLINGS if rest.startswith(s)), (rest[0], ()))
        if tuple(phones[-len(sounds) :]) != sounds:  # a double letter is one sound
            phones.extend(sounds)
        rest = rest[len(spelling) :]
    return tuple(phones)
