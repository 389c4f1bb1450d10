"""The digest of a dataset's inputs: stores hold it, so renamed code must not change the hashed text."""

from dataclasses import replace

from novoic_assets.training.cohorts import COHORTS, Patient
from novoic_assets.training.inputs import cohort_text, names_text, patient_text
from novoic_assets_tests.training.builders import cohort_of_eight


def test_a_cohort_is_hashed_as_this_text() -> None:
    assert cohort_text(COHORTS[1]) == (
        "Cohort(name='ad_mci_vs_hc', description=\"Patients with Alzheimer's disease whose MMSE is above 26, as in mild"
        ' cognitive impairment, against healthy controls.", case=Criterion(ad_status=1, mmse_above=26),'
        " control=Criterion(ad_status=0, mmse_above=None), age_from=None, age_below=None)"
    )
    assert cohort_text(replace(COHORTS[2], age_from=50)).endswith("age_from=50, age_below=60)")


def test_a_patient_is_hashed_as_this_text() -> None:
    assert patient_text(Patient("speaker_ä'1", 65, "female", None, 0, "train")) == (
        "Patient(patient=\"speaker_ä'1\", age=65, gender='female', mmse=None, ad_status=0, split='train')"
    )
    assert patient_text(Patient("p", 90, "male", 27, 1, "test")) == (
        "Patient(patient='p', age=90, gender='male', mmse=27, ad_status=1, split='test')"
    )


def test_covariates_are_hashed_as_this_text() -> None:
    assert names_text(("age", "gender")) == "['age', 'gender']"
    assert names_text(["mmse"]) == "['mmse']"
    assert names_text([]) == "[]"


def test_a_known_dataset_keeps_its_version_and_the_digest_of_its_inputs() -> None:
    """Published stores refer to both, so neither may change unless SCHEMA_VERSION does."""
    dataset = cohort_of_eight(covariates=("age", "gender", "mmse"))
    assert dataset.version == "0adb6af928148c20"  # pragma: allowlist secret
    digest = "8ff3404431495f92e6c998e1fee517efe3407272976964ebbe14eea81d59a3ff"  # pragma: allowlist secret
    assert dataset.inputs == digest
