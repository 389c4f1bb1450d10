"""What a transcript format is: a name, the files it reads, and a function from their bytes to a `Transcript`."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from novoic_assets.errors import NovoicError
from novoic_assets.reasons import Reason, Refused
from novoic_assets.sessions.formats.rules import MAX_BYTES, RULE_REASONS, check_size, keep_rules
from novoic_assets.sessions.transcript import Transcript

CONTENT_REASONS: Final = RULE_REASONS | {Reason.NOT_A_TRANSCRIPT, Reason.SESSION_ID_MISMATCH}
"""What a file may be refused for because of what is in it."""

EXAMPLE_SESSION: Final = "S001"
"""The session of every format's example."""

_WITHOUT_NAME: Final = "xml"
"""The format whose rows had a fingerprint before formats had names."""


class BrokenParserError(Exception):
    """A parser did what it may not do; the file is not to blame."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ParseContext:
    """What a parser may need beside the bytes of a file. Fields may be added, which older parsers do not look at.

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
        version: Letters, digits, dots, `-` and `_`. Part of the fingerprint of every row that is read from such a file:
            raise it whenever a file would be read differently.
        parse: Makes a `Transcript` of a file's bytes. It depends on its arguments alone, raises `Refused` for a bad
            file, and need not apply the rules that all transcripts keep (`novoic_assets.sessions.formats.rules`).
        reasons: The reasons that `parse` gives, of `CONTENT_REASONS`.
        example: A small file of the session `S001` that `parse` takes.
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
        """The part of a row's fingerprint that stands for this format."""
        # The rows that there are stand only if the mark of the first format stays what it was.
        return self.version if self.name == _WITHOUT_NAME else f"{self.name} {self.version}"

    def read(self, data: bytes, context: ParseContext) -> Transcript:
        """Read one file.

        Args:
            data: The file's bytes.
            context: What is known of the file beside its bytes.

        Returns:
            The transcript; it keeps every promise of `Transcript`.

        Raises:
            Refused: The file is bad: with one of `reasons`, or of the rules that all transcripts keep. Nothing of the
                file is in the exception, nor in one chained to it.
            BrokenParserError: The parser did what it may not do.
            Exception: Whatever else the parser raises; it may quote the file.
        """
        check_size(len(data), self.max_bytes)
        outcome = self._outcome(data, context)
        # Raised where no exception is being handled: one that is raised while another is handled carries that other
        # along in its __context__, and a parser's messages quote the file.
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
            # They would stop the run, and a file of one session may not.
            return None
