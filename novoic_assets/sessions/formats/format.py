"""Define a transcript format: a name, the files it reads, and a function from their bytes to a `Transcript`."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from novoic_assets.errors import NovoicError
from novoic_assets.reasons import Reason, Refused
from novoic_assets.sessions.formats.rules import MAX_BYTES, RULE_REASONS, check_size, keep_rules
from novoic_assets.sessions.transcript import Transcript

CONTENT_REASONS: Final = RULE_REASONS | {Reason.NOT_A_TRANSCRIPT, Reason.SESSION_ID_MISMATCH}
"""The reasons for refusing a file because of its content."""

EXAMPLE_SESSION: Final = "S001"
"""The session id of every format's example."""

_WITHOUT_NAME: Final = "xml"
"""The format whose rows had fingerprints before formats had names."""


class BrokenParserError(Exception):
    """A parser broke its contract; the file is not to blame."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ParseContext:
    """What a parser may need besides the bytes of a file. Fields may be added; older parsers ignore them.

    Attributes:
        session: The session's id, from the file's name.
    """

    session: str


@dataclass(frozen=True, kw_only=True)
class TranscriptFormat:
    """A transcript format.

    Attributes:
        name: Unique among all formats, a Python identifier in lower case.
        extensions: The extensions of its files, in lower case and with the dot. No other format has them.
        version: Letters, digits, dots, `-` and `_`. Part of the fingerprint of every row read from such a file:
            raise it whenever a file would be read differently.
        parse: Makes a `Transcript` from a file's bytes. It depends on its arguments alone, raises `Refused` for a bad
            file, and need not apply the rules of all transcripts (`novoic_assets.sessions.formats.rules`).
        reasons: The reasons that `parse` gives, a subset of `CONTENT_REASONS`.
        example: A small file of the session `S001` that `parse` accepts.
        max_bytes: The largest file that is parsed, in bytes.
    """

    name: str
    extensions: tuple[str, ...]
    version: str
    parse: Callable[[bytes, ParseContext], Transcript]
    reasons: frozenset[Reason]
    example: bytes
    max_bytes: int = MAX_BYTES

    @property
    def mark(self) -> str:
        """The part of a row's fingerprint that represents this format."""
        # Existing rows stay valid only if the mark of the first format does not change.
        return self.version if self.name == _WITHOUT_NAME else f"{self.name} {self.version}"

    def read(self, data: bytes, context: ParseContext) -> Transcript:
        """Read one file.

        Args:
            data: The file's bytes.
            context: What is known about the file besides its bytes.

        Returns:
            The transcript; it keeps every promise of `Transcript`.

        Raises:
            Refused: The file is bad. The reason is one of `reasons` or `RULE_REASONS`. Neither the exception nor one
                chained to it quotes the file.
            BrokenParserError: The parser broke its contract.
            Exception: Anything else that the parser raises; it may quote the file.
        """
        check_size(len(data), self.max_bytes)
        outcome = self._outcome(data, context)
        # Raise outside any handler: an exception raised inside one keeps the handled exception in its __context__,
        # and a parser's messages quote the file.
        if isinstance(outcome, Reason):
            raise Refused(outcome)
        if outcome is None:
            raise BrokenParserError
        return outcome

    def _outcome(self, data: bytes, context: ParseContext) -> Transcript | Reason | None:
        try:
            return keep_rules(self.parse(data, context))
        except Refused as refused:
            return refused.reason if refused.reason in {*self.reasons, *RULE_REASONS} else None
        except (NovoicError, SystemExit):
            # Either would stop the run, which a file of one session must not do.
            return None
