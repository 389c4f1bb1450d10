"""What starts by itself, and how often: read from the environment when the definitions load."""

import os
from typing import Final

from novoic_assets.errors import NovoicError
from novoic_assets.settings import whole_number

NEW_DATA: Final = "new_data"
KAFKA: Final = "kafka"
NIGHTLY: Final = "nightly"
_NAMES: Final = (NEW_DATA, KAFKA, NIGHTLY)
_SENSOR_SECONDS: Final = 15


def is_on(name: str) -> bool:
    """Whether a sensor or schedule is on when Dagster sees it for the first time; later the UI says.

    Raises:
        NovoicError: NOVOIC_AUTOMATION has a name in it that there is not.
    """
    wanted = {part.strip() for part in os.environ.get("NOVOIC_AUTOMATION", "").split(",")} - {""}
    if not wanted <= set(_NAMES):
        raise NovoicError(f"NOVOIC_AUTOMATION takes, with commas between them, any of {', '.join(_NAMES)}")
    return name in wanted


def sensor_seconds() -> int:
    """Least number of seconds between two ticks of the sensor.

    Raises:
        NovoicError: NOVOIC_SENSOR_SECONDS is no such number.
    """
    return whole_number("NOVOIC_SENSOR_SECONDS", _SENSOR_SECONDS, least=1)
