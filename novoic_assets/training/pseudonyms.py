"""Keyed pseudonyms: the same patient has the same one in every dataset, and only the key leads back.

HMAC-SHA256 (RFC 2104, FIPS 180-4) of the id under a secret key; a plain hash of an id as short as
`speaker_S001` could be found by trying them all.
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
    """Gives pseudonyms under one key."""

    def __init__(self, key: str) -> None:
        """Take a key.

        Args:
            key: The secret, of 16 characters at least.

        Raises:
            NovoicError: The key is too short to be a secret.
        """
        if len(key) < SHORTEST_KEY:
            raise NovoicError(
                f"a pseudonym key has at least {SHORTEST_KEY} characters; restore {_KEY_PATH}, or set {KEY_SETTING}"
            )
        self._key = key.encode()

    @property
    def key_id(self) -> str:
        """Tells keys apart without giving them away: 8 hexadecimal digits."""
        return self._digest("key", "")[:8]

    def patient(self, patient: str) -> str:
        """A patient's pseudonym: `P` and 16 hexadecimal digits."""
        return "P" + self._digest("patient", patient)

    def session(self, session: str) -> str:
        """A session's pseudonym: `S` and 16 hexadecimal digits."""
        return "S" + self._digest("session", session)

    def identify(self, pseudonym: str, patients: Iterable[str], sessions: Iterable[str]) -> Mapping[str, str]:
        """Find whose pseudonym it is.

        Args:
            pseudonym: The pseudonym of a patient or session.
            patients: All known patients.
            sessions: All known sessions.

        Returns:
            `{"patient": id}` or `{"session": id}`; empty where nobody has it.
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
    """The pseudonyms of a store.

    The key is the setting's, or else one that is made once and kept in `restricted/`. It is read from the
    environment alone: a resource's field would show it in the UI.

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
    # Create-only, then read: of two runs that start at once, both use the key of the one that came first.
    if store.stat(_KEY_PATH) is None:
        store.create(_KEY_PATH, secrets.token_hex(32).encode())
    return Pseudonyms(store.read(_KEY_PATH).decode().strip())
