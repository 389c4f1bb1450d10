"""The kinds of input of a session, each one entry of `MODALITIES`.

The arrays of a dataset, the columns of its files, its checks and the account of missing sessions follow from the list.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from novoic_assets.features.family import Status
from novoic_assets.reasons import Reason


@dataclass(frozen=True, slots=True)
class PatientCheck:
    """A dataset's warning about patients for whom an input holds nothing.

    Attributes:
        name: The check's name.
        status: The status of such a patient.
        says: The text of the warning after the number of such sessions.
    """

    name: str
    status: Status
    says: str


@dataclass(frozen=True, slots=True, eq=False)
class Modality:
    """A kind of input.

    Attributes:
        name: Its part of the names of arrays and columns, as in `X_text_patient`.
        stage: The asset that computes its values, and the table that holds them.
        missing: The reason of a session without this input.
        check: The warning of a dataset.
        names_patient: Whether its table names each session's patient. Exactly one modality does.
        earlier_stages: By reason that an earlier stage gave, the asset of that stage.
        covariates: Name of the array of its covariate families; empty if they are not published.
    """

    name: str
    stage: str
    missing: Reason
    check: PatientCheck
    names_patient: bool = False
    earlier_stages: Mapping[str, str] = field(default_factory=dict)
    covariates: str = ""

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns of its table that datasets read."""
        return ("session", "reason", "sha256", *(("patient",) if self.names_patient else ()), "values")

    def refused_by(self, reason: str) -> str:
        """Return the asset that refused a session whose row has this reason."""
        return self.earlier_stages.get(reason, self.stage)


MODALITIES: Final[tuple[Modality, ...]] = (
    Modality(
        name="text",
        stage="text_features",
        missing=Reason.NO_TRANSCRIPT,
        check=PatientCheck("patient_speech", Status.NO_SPEECH, "sessions have no patient speech"),
        names_patient=True,
        earlier_stages={Reason.TRANSCRIPT_REFUSED: "parsed_transcripts"},
    ),
    Modality(
        name="audio",
        stage="audio_features",
        missing=Reason.NO_AUDIO,
        check=PatientCheck("audible", Status.INAUDIBLE, "sessions have an inaudible patient"),
        covariates="recording",
    ),
)
"""The kinds of input, in the order in which datasets list them and look for a session's missing input."""
