"""Keyed pseudonyms: a patient has the same one in every dataset, and only the key leads back to the patient.

A pseudonym is the start of an HMAC-SHA256 (RFC 2104, FIPS 180-4) of the id under a secret key. A plain hash of an id
as short as `speaker_S001` would not do: anybody could find the id by trying all ids.
"""

import hmac
import secrets
from collections.abc import Iterable, Mapping
from typing import Final

from novoic_assets.errors import NovoicError
from novoic_assets.settings import SHORTEST_KEY, VARIABLES, settings
from novoic_assets.storage.files import Storage

KEY_SETTING: Final = VARIABLES["pseudonym_key"].name
_KEY_PATH: Final = "restricted/pseudonym.key"
_DIGITS: Final = 16


class Pseudonyms:
    """The pseudonyms under one key.

    Example:
        >>> pseudonyms = Pseudonyms("a key for this example")
        >>> pseudonyms.patient("speaker_S001")
        'P3f74a5e0266874e3'
        >>> pseudonyms.identify(pseudonyms.patient("speaker_S001"), ["speaker_S001", "speaker_S002"], [])
        {'patient': 'speaker_S001'}
    """

    def __init__(self, key: str) -> None:
        """Use a key.

        Args:
            key: The secret, at least 16 characters.

        Raises:
            NovoicError: The key is too short to be a secret.
        """
        if len(key) < SHORTEST_KEY:
            raise NovoicError(
                f"a pseudonym key needs at least {SHORTEST_KEY} characters; restore {_KEY_PATH}, or set {KEY_SETTING}"
            )
        self._key = key.encode()

    @property
    def key_id(self) -> str:
        """The id of the key, which does not reveal the key: 8 hexadecimal digits."""
        return self._digest("key", "")[:8]

    def patient(self, patient: str) -> str:
        """Return a patient's pseudonym: `P` and 16 hexadecimal digits."""
        return "P" + self._digest("patient", patient)

    def session(self, session: str) -> str:
        """Return a session's pseudonym: `S` and 16 hexadecimal digits."""
        return "S" + self._digest("session", session)

    def identify(self, pseudonym: str, patients: Iterable[str], sessions: Iterable[str]) -> Mapping[str, str]:
        """Find the patient or session of a pseudonym.

        Args:
            pseudonym: The pseudonym of a patient or session.
            patients: All known patients.
            sessions: All known sessions.

        Returns:
            `{"patient": id}` or `{"session": id}`; empty if nobody has the pseudonym.
        """
        for patient in patients:
            if self.patient(patient) == pseudonym:
                return {"patient": patient}
        for session in sessions:
            if self.session(session) == pseudonym:
                return {"session": session}
        return {}

    def _digest(self, kind: str, value: str) -> str:
        message = f"{kind}\0{value}".encode("utf-8", "surrogatepass")
        return hmac.new(self._key, message, "sha256").hexdigest()[:_DIGITS]


def load_pseudonyms(store: Storage) -> Pseudonyms:
    """Load the pseudonyms of a store.

    The key is that of the setting. Without the setting, the store makes a key once and keeps it in `restricted/`. The
    setting comes from the environment only: the UI would show the field of a resource.

    Args:
        store: The store.

    Returns:
        The pseudonyms.

    Raises:
        NovoicError: The key is too short.
        StorageError: The store cannot be read or written.
    """
    if key := settings().pseudonym_key.get_secret_value():
        return Pseudonyms(key)
    store.make_private("restricted")
    # Create the key only if it is missing, then read it: two runs that start at once both use the first one's key.
    if store.stat(_KEY_PATH) is None:
        store.create(_KEY_PATH, secrets.token_hex(32).encode())
    return Pseudonyms(store.read(_KEY_PATH).decode().strip())
