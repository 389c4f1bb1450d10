"""Who is a case, who is a control, and why a cohort excludes the others."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from novoic_assets.training.cohorts import COHORTS, Cohort, Criterion, Exclusion, Label, Patient
from novoic_assets_tests.training.builders import patient

COHORT = {cohort.name: cohort for cohort in COHORTS}
CASE, CONTROL = Label.CASE, Label.CONTROL
PATIENTS = st.builds(
    Patient,
    patient=st.just("P"),
    age=st.one_of(st.integers(0, 120), st.integers(58, 61)),
    gender=st.just("female"),
    mmse=st.one_of(st.none(), st.integers(0, 30), st.integers(25, 28)),
    ad_status=st.integers(0, 1),
    split=st.sampled_from(["train", "test"]),
)


@pytest.mark.parametrize(
    ("ad_status", "mmse", "age", "ad_vs_hc", "ad_mci_vs_hc", "ad_vs_hc_under_60"),
    [
        (1, 26, 60, CASE, Exclusion.MMSE, Exclusion.AGE),
        (1, 27, 60, CASE, CASE, Exclusion.AGE),
        (1, 26, 59, CASE, Exclusion.MMSE, CASE),
        (1, 27, 59, CASE, CASE, CASE),
        (1, 0, 18, CASE, Exclusion.MMSE, CASE),
        (1, 30, 95, CASE, CASE, Exclusion.AGE),
        (1, None, 60, CASE, Exclusion.MMSE_MISSING, Exclusion.AGE),
        (1, None, 59, CASE, Exclusion.MMSE_MISSING, CASE),
        (0, 26, 60, CONTROL, CONTROL, Exclusion.AGE),
        (0, 30, 59, CONTROL, CONTROL, CONTROL),
        (0, 10, 59, CONTROL, CONTROL, CONTROL),
        (0, None, 60, CONTROL, CONTROL, Exclusion.AGE),
        (0, None, 59, CONTROL, CONTROL, CONTROL),
    ],
)
def test_the_truth_table(
    ad_status: int,
    mmse: int | None,
    age: int,
    ad_vs_hc: Label | Exclusion,
    ad_mci_vs_hc: Label | Exclusion,
    ad_vs_hc_under_60: Label | Exclusion,
) -> None:
    row = patient("P", age=age, mmse=mmse, ad_status=ad_status)
    assert {name: cohort.classify(row) for name, cohort in COHORT.items()} == {
        "ad_vs_hc": ad_vs_hc,
        "ad_mci_vs_hc": ad_mci_vs_hc,
        "ad_vs_hc_under_60": ad_vs_hc_under_60,
    }


@given(row=PATIENTS)
@pytest.mark.parametrize("cohort", COHORTS, ids=lambda cohort: cohort.name)
def test_every_patient_is_a_case_or_a_control_by_diagnosis_or_excluded_by_a_limit(cohort: Cohort, row: Patient) -> None:
    found = cohort.classify(row)
    if isinstance(found, Label):
        assert found is (CASE if row.ad_status == 1 else CONTROL)
        assert cohort.age_below is None or row.age < cohort.age_below
        assert found is CONTROL or cohort.case.mmse_above is None or (row.mmse or 0) > cohort.case.mmse_above
    else:
        assert isinstance(found, Exclusion)
        assert cohort.name != "ad_vs_hc"
        assert found is not Exclusion.STATUS


@given(row=PATIENTS)
def test_the_smaller_cohorts_are_parts_of_the_largest(row: Patient) -> None:
    for cohort in COHORTS[1:]:
        found = cohort.classify(row)
        assert isinstance(found, Exclusion) or found is COHORT["ad_vs_hc"].classify(row)


def test_a_diagnosis_that_neither_side_takes_is_excluded_for_its_status() -> None:
    cases_alone = Cohort("x", "", case=Criterion(ad_status=1), control=Criterion(ad_status=2))
    assert cases_alone.classify(patient("P", ad_status=0)) is Exclusion.STATUS


def test_the_lowest_age_belongs_to_the_cohort() -> None:
    old = Cohort("x", "", case=Criterion(ad_status=1), control=Criterion(ad_status=0), age_from=60, age_below=80)
    assert [old.classify(patient("P", age=age)) for age in (59, 60, 79, 80)] == [
        Exclusion.AGE,
        CONTROL,
        CONTROL,
        Exclusion.AGE,
    ]


def test_names_are_unique_and_fit_for_folders_and_assets() -> None:
    names = [cohort.name for cohort in COHORTS]
    assert names == ["ad_vs_hc", "ad_mci_vs_hc", "ad_vs_hc_under_60"]
    assert all(name.isidentifier() for name in names)
