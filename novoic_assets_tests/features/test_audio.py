"""Audio features: the values against librosa's, levels, statuses."""

import dataclasses
import io
from operator import attrgetter

import librosa
import numpy as np
import pytest
import scipy.fft
import soundfile

from novoic_assets.features.audio.audibility import INAUDIBLE_DBFS
from novoic_assets.features.audio.blocks import BLOCK_STEP, FRAME_LENGTH, HOP
from novoic_assets.features.audio.mfcc import MFCC
from novoic_assets.features.audio.session import audio_batch, audio_features
from novoic_assets.features.family import SPEAKERS, Batches, Status, Undefined
from novoic_assets.reasons import Reason, Refused
from novoic_assets.sessions.recording import SAMPLE_RATE, Recording
from novoic_assets_tests.corpora import challenge_recording
from novoic_assets_tests.features.speech import RECORDINGS
from novoic_assets_tests.features.test_audio_frames import turns_of

NOBODY = turns_of()


def wav(samples, rate=SAMPLE_RATE, subtype="FLOAT"):
    file = io.BytesIO()
    soundfile.write(file, samples, rate, format="WAV", subtype=subtype)
    return file.getvalue()


def features(data, turns=NOBODY):
    return audio_features(io.BytesIO(data), turns, [MFCC])


def noise(seconds, dbfs=-20.0, rate=SAMPLE_RATE):
    white = np.random.default_rng(0).normal(0, 1, round(seconds * rate))
    return white / np.sqrt(np.mean(white**2)) * 10 ** (dbfs / 20)


def sine(hz, seconds=2.0, amplitude=1.0):
    return amplitude * np.sin(2 * np.pi * hz * np.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE)


def librosa_frames(data):
    """MFCC of every frame by librosa: shape (frames, 13)."""
    signal = np.concatenate(list(Recording(io.BytesIO(data)).blocks()))
    mel = librosa.feature.melspectrogram(
        # librosa puts the 400 samples of a frame in the middle of its 512.
        y=np.pad(signal, 56),
        sr=SAMPLE_RATE,
        n_fft=512,
        win_length=400,
        hop_length=160,
        window="hann",
        center=False,
        power=2.0,
        n_mels=40,
        fmin=20,
        fmax=8_000,
        htk=False,
        norm="slaney",
    )
    db = librosa.power_to_db(mel, ref=1.0, amin=1e-10, top_db=None)
    return scipy.fft.dct(db, type=2, norm="ortho", axis=0)[:13].T


def assert_equals_librosa(data):
    turns = turns_of((0.1, 0.4, "patient"), (0.35, 0.8, "investigator"), (0.9, 1.1, "patient"), (1.2, 9, "other"))
    values = features(data, turns).values["mfcc"]
    frames = librosa_frames(data)
    masks = turns.own(np.arange(len(frames)) * HOP, FRAME_LENGTH)
    for speaker, own in zip(SPEAKERS, masks, strict=True):
        assert own.any()
        if values[speaker].status == Status.OK:
            np.testing.assert_allclose(values[speaker].vector, frames[own].mean(axis=0), atol=1e-3, rtol=0)
        else:
            assert set(values[speaker].reasons) == {Undefined.NARROWBAND}
    return values


class TestMfcc:
    @pytest.mark.parametrize("channels", [1, 2])
    @pytest.mark.parametrize("rate", [8_000, 16_000, 22_050, 24_000, 44_100, 48_000])
    def test_noise_equals_librosa(self, rate, channels):
        samples = np.stack([np.roll(noise(1.5, rate=rate), channel) for channel in range(channels)], axis=1)
        values = assert_equals_librosa(wav(samples, rate))
        # A recording with half the sample rate has no content in the upper half of the bands.
        assert values["all"].status == (Status.PARTIAL if rate == 8_000 else Status.OK)

    @pytest.mark.parametrize("path", RECORDINGS, ids=attrgetter("stem"))
    def test_speech_equals_librosa(self, path):
        assert assert_equals_librosa(path.read_bytes())["all"].status == Status.OK

    def test_near_silence_is_the_floor(self):
        vector = features(wav(np.full(16_000, 1e-12))).values["mfcc"]["all"].vector
        np.testing.assert_allclose(vector, [-100 * np.sqrt(40), *np.zeros(12)], atol=1e-3)

    def test_frames_that_touch_a_gap_are_nobodys(self):
        speech = noise(3)
        speech[16_000:20_000] = 0
        speech[30_000:30_159] = 0  # shorter than 10 ms
        frames = librosa_frames(wav(speech))
        starts = np.arange(len(frames)) * HOP
        outside = (starts + FRAME_LENGTH <= 16_000) | (starts >= 20_000)
        vector = features(wav(speech)).values["mfcc"]["all"].vector
        np.testing.assert_allclose(vector, frames[outside].mean(axis=0), atol=1e-3)

    def test_appended_digital_silence_changes_nothing(self):
        spoken = noise(7)
        longer = np.concatenate([spoken, np.zeros(3 * SAMPLE_RATE)])
        short, long = (features(wav(samples)).values["mfcc"]["all"].vector for samples in (spoken, longer))
        np.testing.assert_allclose(short, long, atol=1e-4)  # sums over blocks of another length round differently

    # Around the length of a block, the last block has every possible length.
    @pytest.mark.parametrize("n_samples", [400, 559, 560, *(BLOCK_STEP + n for n in (-1, 0, 239, 240, 241, 399, 400))])
    def test_every_whole_frame_counts(self, n_samples):
        data = wav(noise(n_samples / SAMPLE_RATE))
        expected = librosa_frames(data)
        assert len(expected) == (n_samples - 400) // 160 + 1
        vector = features(data).values["mfcc"]["all"].vector
        np.testing.assert_allclose(vector, expected.mean(axis=0), atol=1e-3)

    @pytest.mark.parametrize("peak", [1e12, 1e-30])
    def test_extreme_values_stay_finite(self, peak):
        vector = features(wav(sine(440, amplitude=peak))).values["mfcc"]["all"].vector
        assert np.isfinite(vector).all()

    def test_the_family_describes_its_values(self):
        assert MFCC.value_names == tuple(f"mfcc_{index}" for index in range(13))
        assert len(MFCC.units) == 13


class Sluggish(io.BytesIO):
    def read(self, size=-1):
        return super().read(min(size, 1_000))


def test_reads_in_pieces_change_no_bit():
    data = wav(noise(20, rate=44_100), 44_100, "PCM_16")
    turns = turns_of((1, 5, "patient"), (5, 12, "investigator"))
    whole = audio_features(io.BytesIO(data), turns, [MFCC])
    pieces = audio_features(Sluggish(data), turns, [MFCC])
    assert whole.level_dbfs == pieces.level_dbfs
    for speaker in SPEAKERS:
        np.testing.assert_array_equal(whole.values["mfcc"][speaker].vector, pieces.values["mfcc"][speaker].vector)


class TestLevel:
    def level(self, samples):
        return features(wav(samples)).level_dbfs["all"]

    def test_full_scale_sine(self):
        assert self.level(sine(1_000)) == pytest.approx(-3.01, abs=0.01)

    def test_white_noise_but_for_the_part_below_60_hz(self):
        assert self.level(noise(10)) == pytest.approx(-20, abs=0.1)

    @pytest.mark.parametrize(
        "samples",
        [np.ones(32_000), sine(0.5), sine(5), noise(2, dbfs=-75)],
        ids=["offset", "0.5 Hz", "5 Hz", "faint noise"],
    )
    def test_inaudible(self, samples):
        result = features(wav(samples))
        assert result.level_dbfs["all"] < INAUDIBLE_DBFS
        assert result.values["mfcc"]["all"].status == Status.INAUDIBLE
        assert np.isfinite(result.values["mfcc"]["all"].vector).all()

    def test_digital_silence_is_inaudible_and_has_no_frames(self):
        values = features(wav(np.zeros(32_000))).values["mfcc"]["all"]
        assert values.status == Status.INAUDIBLE
        assert np.isnan(values.vector).all()

    def test_faint_noise_on_an_offset_is_audible(self):
        assert self.level(0.9 + noise(10, dbfs=-60)) == pytest.approx(-60, abs=0.1)

    def test_digital_silence_has_a_level(self):
        assert self.level(np.zeros(32_000)) == -200

    def test_shorter_than_a_window(self):
        assert INAUDIBLE_DBFS < self.level(noise(0.05)) < 0

    def test_each_speaker_has_their_own(self):
        silent_patient = np.concatenate([noise(1), noise(1, dbfs=-90), noise(1)])
        result = features(wav(silent_patient), turns_of((1.01, 1.99, "patient"), (2, 3, "investigator")))
        assert result.level_dbfs["patient"] == pytest.approx(-90, abs=0.5)
        assert result.level_dbfs["investigator"] == pytest.approx(-20, abs=0.5)
        statuses = {speaker: values.status for speaker, values in result.values["mfcc"].items()}
        assert statuses == {"patient": Status.INAUDIBLE, "investigator": Status.OK, "all": Status.OK}

    def test_without_a_window_of_their_own_the_whole_recording_decides(self):
        result = features(wav(noise(1)), turns_of((0.04, 0.09, "patient")))
        assert result.level_dbfs["patient"] == result.level_dbfs["all"]
        assert result.values["mfcc"]["patient"].status == Status.OK

    @pytest.mark.parametrize("path", RECORDINGS, ids=attrgetter("stem"))
    def test_speech_is_audible(self, path):
        assert features(path.read_bytes()).values["mfcc"]["all"].status == Status.OK

    def test_the_challenge_corpus_is_inaudible(self):
        result = features(challenge_recording(), turns_of((0, 4.266, "investigator")))
        statuses = {speaker: values.status for speaker, values in result.values["mfcc"].items()}
        assert statuses == {"patient": "no_speech", "investigator": "inaudible", "all": "inaudible"}
        assert result.facts.scale == "int16"
        assert result.seconds == {"patient": 0, "investigator": 32_001 / 16_000, "all": 32_001 / 16_000}


class TestStatus:
    def status(self, samples, turns, speaker):
        values = features(wav(samples), turns).values["mfcc"][speaker]
        assert np.isfinite(values.vector).all() == (values.status in {Status.OK, Status.INAUDIBLE})
        assert np.isnan(values.vector).all() != np.isfinite(values.vector).all()
        assert values.vector.dtype == np.float32
        assert values.vector.shape == (13,)
        return values.status

    def test_ok(self):
        assert self.status(noise(1), turns_of((0, 0.5, "patient")), "patient") == Status.OK

    @pytest.mark.parametrize("speaker", ["patient", "investigator"])
    def test_no_speech(self, speaker):
        assert self.status(noise(1), turns_of((0, 0.5, "other")), speaker) == Status.NO_SPEECH

    @pytest.mark.parametrize(
        "segments",
        [
            [(0, 0.024, "patient")],
            [(1.0, 2.0, "patient")],
            [(0.3, 0.3, "patient")],
            [(0, 1, "patient"), (0, 1, "investigator")],
        ],
        ids=["short", "behind the end", "no time", "all spoken over"],
    )
    def test_too_short(self, segments):
        assert self.status(noise(1), turns_of(*segments), "patient") == Status.TOO_SHORT

    def test_a_recording_shorter_than_a_frame(self):
        assert self.status(noise(0.02), turns_of((0, 1, "patient")), "all") == Status.TOO_SHORT
        assert self.status(noise(0.02), turns_of((0, 1, "patient")), "patient") == Status.TOO_SHORT

    def test_a_recording_shorter_than_a_sample(self):
        result = audio_features(io.BytesIO(wav(np.ones(1), 384_000)), NOBODY, [MFCC])
        assert result.values["mfcc"]["all"].status == Status.TOO_SHORT

    def test_a_recording_shorter_than_a_sample_is_an_empty_sound_for_families_that_want_batches(self):
        family = dataclasses.replace(MFCC, accumulator=None, batches=Batches(sessions=1, start=lambda _: None))
        result = audio_features(io.BytesIO(wav(np.ones(1), 384_000)), NOBODY, [family])
        audio_batch([result], family, lambda sounds: [{"all": [len(sound.samples)]} for sound in sounds])
        assert result.sound.samples.dtype == np.float32
        assert result.values["mfcc"]["all"].status == Status.TOO_SHORT

    def test_a_refused_recording(self):
        with pytest.raises(Refused) as refusal:
            features(b"")
        assert refusal.value.reason == Reason.EMPTY_AUDIO


def test_families_share_the_blocks():
    seen = []

    class Spy:
        def __init__(self, analysis):
            pass

        def add(self, block):
            seen.append(block.power.shape)

        def values(self, speaker):
            return [0.0]

    spy = dataclasses.replace(MFCC, name="spy", members=MFCC.members[:1], accumulator=Spy)
    result = audio_features(io.BytesIO(wav(noise(10))), NOBODY, [spy, MFCC])
    alone = audio_features(io.BytesIO(wav(noise(10))), NOBODY, [MFCC])
    assert seen == [(512, 257), (486, 257)]
    assert result.values["spy"]["all"].vector == [0]
    np.testing.assert_array_equal(result.values["mfcc"]["all"].vector, alone.values["mfcc"]["all"].vector)


def test_no_family_gives_the_facts():
    result = audio_features(io.BytesIO(wav(noise(1))), turns_of((0.25, 0.5, "patient")), [])
    assert result.values == {}
    assert result.seconds == {"patient": 0.25, "investigator": 0, "all": 1}
