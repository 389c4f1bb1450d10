"""Models learn from the sample corpus exactly the stated differences, only from the patients, and nothing else.

`novoic_assets/synthetic/people.py` states which values are higher or lower in cases.
"""

import logging
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import mannwhitneyu
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import GroupKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from novoic_assets.synthetic.corpus import CorpusSettings
from novoic_assets.training.load import TrainingData, load_dataset
from novoic_assets_tests.lab import materialize_sample

pytestmark = pytest.mark.slow

LOG = logging.getLogger(__name__)  # `--log-cli-level=info` shows it
SHUFFLES = 200
LEARNT = ("word_vector", "mfcc")  # few columns, as each shuffle fits five models
SMALLEST_CHANCE = 0.01  # a smaller p does not count as chance
Matrix = NDArray[np.float32]


def auc(data: TrainingData, X: Matrix, y: NDArray[np.int8]) -> float:  # noqa: N803 - as scikit-learn calls it
    """The weighted AUC for patients that the model has not seen, averaged over five folds."""
    scores = []
    for train, test in GroupKFold(5).split(X, y, data.patient):
        model = make_pipeline(
            SimpleImputer(keep_empty_features=True), StandardScaler(), LogisticRegression(max_iter=1000)
        )
        model.fit(
            X[train],
            y[train],
            standardscaler__sample_weight=data.weight[train],
            logisticregression__sample_weight=data.weight[train],
        )
        scores.append(roc_auc_score(y[test], model.decision_function(X[test]), sample_weight=data.weight[test]))
    return float(np.mean(scores))


def shuffled_aucs(data: TrainingData, X: Matrix) -> NDArray[np.float64]:  # noqa: N803 - as above
    """The AUCs with labels that are shuffled between the patients."""
    _, first, patient = np.unique(data.patient, return_index=True, return_inverse=True)
    labels = data.y[first]
    rng = np.random.default_rng(0)
    with threadpool_limits(1):  # more threads slow down such small models
        return np.array([auc(data, X, rng.permutation(labels)[patient]) for _ in range(SHUFFLES)])


def chance(true: float, shuffled: NDArray[np.float64]) -> float:
    """The p-value of a permutation test: how often shuffled labels do as well."""
    return float((1 + np.sum(shuffled >= true)) / (1 + len(shuffled)))


def both(data: TrainingData) -> Matrix:
    """Text and audio side by side."""
    return np.hstack([data.X_text, data.X_audio])


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The store of the default sample corpus."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NOVOIC_PSEUDONYM_KEY", "the key that the order of rows and so the folds depend on")
        yield materialize_sample(tmp_path_factory.mktemp("sample"), CorpusSettings(effect=1.0))


@pytest.fixture(scope="module")
def same(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The store of a corpus in which cases and controls do not differ."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NOVOIC_PSEUDONYM_KEY", "the key that the order of rows and so the folds depend on")
        yield materialize_sample(tmp_path_factory.mktemp("same"), CorpusSettings(effect=0.0))


# The values that show the stated differences, and whether they are higher in cases.
CASES_HAVE_MORE = {
    "pronoun_rate": True,
    "pronoun_noun_ratio": True,
    "noun_rate": False,
    "mattr_50": False,
    "honore": False,
    "filler_rate": True,
    "word_repeat_pct": True,
    "speech_rate": False,
    "syllable_rate": False,
    "within_turn_gap": True,
    "pause_mean": True,
    "pause_frac": True,
    "speech_run_mean": False,
    "f0_iqr": False,
    "cpp": False,
    "alpha_ratio": True,
    "centroid": False,
}
# Values that do not differ between cases and controls.
ALIKE = (
    "um_share",
    "question_rate",
    "unintelligible_rate",
    "response_latency",
    "patient_share",
    "level_mean",
    "level_range",
    "source_rate",
    "effective_bandwidth",
    "dc_offset",
    "clipped_share",
    "noise_floor",
    "snr",
    "patient_seconds",
    "investigator_seconds",
)


def p_values(data: TrainingData, alternative: str = "two-sided") -> dict[str, float]:
    """The p-value (Mann-Whitney) of each value for cases against controls, with one mean for each patient."""
    frame = data.to_pandas().groupby("patient").mean(numeric_only=True)
    cases, controls = frame[frame["y"] == 1], frame[frame["y"] == 0]
    names = [*data.text_names, *data.audio_names, *data.recording_names]
    found = {
        name: mannwhitneyu(cases[name], controls[name], alternative=alternative, nan_policy="omit").pvalue
        for name in names
        if cases[name].count() and controls[name].count()
    }
    return {name: float(p) for name, p in found.items()}


def test_the_values_show_the_stated_differences(store: Path) -> None:
    data = load_dataset("ad_vs_hc", store=store)
    more, less = p_values(data, "greater"), p_values(data, "less")
    found = {name: (more if cases_more else less)[name] for name, cases_more in CASES_HAVE_MORE.items()}
    LOG.info("stated differences: %s", {name: f"{p:.1e}" for name, p in found.items()})
    assert {name: p for name, p in found.items() if p > SMALLEST_CHANCE} == {}
    alike = {name: p for name, p in p_values(data).items() if name in ALIKE}
    assert len(alike) == len(ALIKE)
    assert {name: p for name, p in alike.items() if p < SMALLEST_CHANCE} == {}


def test_without_an_effect_no_value_differs(same: Path) -> None:
    found = p_values(load_dataset("ad_vs_hc", store=same))
    smallest = min(found, key=lambda name: found[name])
    LOG.info("no effect: %d values, the smallest p %.4f", len(found), found[smallest])
    # Bonferroni: the smallest of so many p is below this as rarely as a single p is below SMALLEST_CHANCE.
    assert found[smallest] > SMALLEST_CHANCE / len(found)


def test_patients_speech_separates_cases_from_controls(store: Path) -> None:
    data = load_dataset("ad_vs_hc", store=store, families=LEARNT)
    true, shuffled = auc(data, both(data), data.y), shuffled_aucs(data, both(data))
    text, audio = auc(data, data.X_text, data.y), auc(data, data.X_audio, data.y)
    LOG.info("patient: AUC %.3f, of text %.3f, of audio %.3f, p %.3f", true, text, audio, chance(true, shuffled))
    LOG.info("shuffled: AUC %.3f +- %.3f", shuffled.mean(), shuffled.std())
    assert true > 0.75
    assert true > np.quantile(shuffled, 0.99)
    assert shuffled.mean() == pytest.approx(0.5, abs=0.03)


def test_investigators_speech_does_not(store: Path) -> None:
    data = load_dataset("ad_vs_hc", store=store, speaker="investigator", families=LEARNT)
    true, shuffled = auc(data, both(data), data.y), shuffled_aucs(data, both(data))
    LOG.info("investigator: AUC %.3f, p %.3f", true, chance(true, shuffled))
    assert chance(true, shuffled) > SMALLEST_CHANCE


def test_without_an_effect_nothing_separates_them(same: Path) -> None:
    data = load_dataset("ad_vs_hc", store=same, families=LEARNT)
    true, shuffled = auc(data, both(data), data.y), shuffled_aucs(data, both(data))
    LOG.info("no effect: AUC %.3f, p %.3f", true, chance(true, shuffled))
    assert chance(true, shuffled) > SMALLEST_CHANCE
