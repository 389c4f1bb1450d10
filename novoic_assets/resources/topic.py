"""Reading a Kafka topic from the offsets of the last read.

The caller keeps the offsets, and this module assigns partitions by hand: nothing is committed to a consumer group.
confluent-kafka is an optional extra, so it is imported only where it is used.
"""

import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from novoic_assets.errors import NovoicError

if TYPE_CHECKING:
    from confluent_kafka import Consumer, KafkaError, Message

SERVERS: Final = "NOVOIC_KAFKA_SERVERS"
TOPIC: Final = "NOVOIC_KAFKA_TOPIC"
SECURITY: Final = "NOVOIC_KAFKA_SECURITY"
MECHANISM: Final = "NOVOIC_KAFKA_SASL_MECHANISM"
USERNAME: Final = "NOVOIC_KAFKA_USERNAME"
PASSWORD: Final = "NOVOIC_KAFKA_PASSWORD"  # noqa: S105 - its name
CA: Final = "NOVOIC_KAFKA_CA"
CERTIFICATE: Final = "NOVOIC_KAFKA_CERTIFICATE"
KEY: Final = "NOVOIC_KAFKA_KEY"

GROUP: Final = "novoic-assets"  # librdkafka requires a name; nothing is stored under it
SECONDS: Final = 10.0
LIMIT: Final = 10_000
_POLL_SECONDS: Final = 0.1
_REQUEST_SECONDS: Final = 0.5

Judge = Callable[[bytes | None, bytes | None], str]
"""Gives the kind of a message from its content and its key."""


@dataclass(frozen=True, slots=True)
class Batch:
    """The result of a read.

    Attributes:
        counts: Number of messages by kind.
        offsets: Where the next read continues, by partition; pass it to the next read.
        first: Whether the read had no offsets, and so began at the end of the topic.
        lost: Whether messages were lost unread: the topic was recreated, or deleted messages before this read.
        unanswered: Number of partitions that did not answer in time.
    """

    counts: Counter[str]
    offsets: Mapping[int, int]
    first: bool
    lost: bool
    unanswered: int


def read_topic(
    settings: Mapping[str, Any],
    topic: str,
    judge: Judge,
    offsets: Mapping[int, int],
    limit: int = LIMIT,
    seconds: float = SECONDS,
) -> Batch:
    """Read the messages that arrived since the last read.

    Without offsets the read begins at the end of each partition. With offsets, it reads a partition from its beginning
    if the partition is new, or if the messages at the offset are gone.

    Args:
        settings: The settings of librdkafka, by their names there.
        topic: The name of the topic.
        judge: Gives the kind of a message; it never raises.
        offsets: The offsets of the last read; empty for the first read.
        limit: Number of messages after which the read ends and leaves the rest to the next read.
        seconds: Time in seconds after which the read ends; also the longest time to find the topic's partitions.

    Returns:
        Counts of messages, and the offsets for the next read.

    Raises:
        NovoicError: The topic cannot be read.
    """
    reader = _Reader(settings, topic)
    try:
        return reader.read(judge, offsets, limit, seconds)
    finally:
        reader.close()


@dataclass(slots=True)
class _Progress:
    """The state of a read.

    Attributes:
        starts: Offset at which the read of each partition began.
        offsets: Offset at which the next read of each partition continues.
        pending: Partitions whose end the read has not reached.
        silent: Partitions that have not answered.
        counts: Number of messages by kind.
        restarted: Partitions that were restarted because their messages at the offset were gone.
    """

    starts: dict[int, int]
    offsets: dict[int, int]
    pending: set[int]
    silent: set[int]
    counts: Counter[str] = field(default_factory=Counter)
    restarted: set[int] = field(default_factory=set)


class _Reader:
    """One connection, for one read."""

    def __init__(self, settings: Mapping[str, Any], topic: str) -> None:
        try:
            import confluent_kafka
        except ImportError:
            raise NovoicError("reading Kafka needs an optional extra: pip install novoic-assets[kafka]") from None
        self._library = confluent_kafka
        self._topic = topic
        self._security = str(settings["security.protocol"])
        self._codes: set[int] = set()
        try:
            self._consumer: Consumer = confluent_kafka.Consumer({**settings, "error_cb": self._note})
        except (confluent_kafka.KafkaException, ValueError, TypeError):
            # The text of the exception quotes the settings.
            names = ", ".join((SERVERS, SECURITY, CA, CERTIFICATE, KEY))
            raise NovoicError(f"Kafka's client cannot use its settings; check {names} and their files") from None

    def close(self) -> None:
        self._consumer.close()

    def read(
        self,
        judge: Judge,
        offsets: Mapping[int, int],
        limit: int,
        seconds: float,
    ) -> Batch:
        partitions = self._partitions(seconds)
        begin, end = self._library.OFFSET_BEGINNING, self._library.OFFSET_END
        starts = {number: offsets.get(number, begin if offsets else end) for number in partitions}
        known = {number: offsets[number] for number in partitions if number in offsets}
        progress = _Progress(starts, known, set(partitions), set(partitions))
        self._consumer.assign([self._position(number, start) for number, start in starts.items()])
        deadline = time.monotonic() + seconds
        while progress.pending and progress.counts.total() < limit and time.monotonic() < deadline:
            message = self._consumer.poll(_POLL_SECONDS)
            if message is None:
                self._restart_beyond_end(progress)
            elif (error := message.error()) is not None:
                self._take_error(message, error, progress)
            else:
                number, offset = _partition_and_offset(message)
                progress.counts[judge(message.value(), message.key())] += 1
                progress.offsets[number] = offset + 1
                progress.silent.discard(number)
        if progress.silent and not progress.counts.total():
            raise self._failure()
        return Batch(
            counts=progress.counts,
            offsets=progress.offsets,
            first=not offsets,
            lost=bool(progress.restarted or offsets.keys() - starts.keys()),
            unanswered=len(progress.silent) if progress.counts.total() < limit else 0,
        )

    def _partitions(self, seconds: float) -> list[int]:
        """The topic's partitions.

        Raises:
            NovoicError: The brokers do not answer, or the topic does not exist for this user.
        """
        errors = self._library.KafkaError
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            try:
                topic = self._consumer.list_topics(self._topic, timeout=_REQUEST_SECONDS).topics[self._topic]
            except self._library.KafkaException:
                self._consumer.poll(0)  # delivers the errors of the connection to `_note`
                if self._codes & {errors._AUTHENTICATION, errors._SSL}:
                    break
                continue
            if topic.error is None and topic.partitions:
                return sorted(topic.partitions)
            if topic.error is not None:
                self._codes.add(topic.error.code())
                if topic.error.code() != errors.LEADER_NOT_AVAILABLE:
                    break
            time.sleep(_POLL_SECONDS)  # the topic is being created
        raise self._failure()

    def _take_error(self, message: "Message", error: "KafkaError", progress: _Progress) -> None:
        """Handle an event of a partition that is not a message."""
        errors = self._library.KafkaError
        if error.code() == errors._PARTITION_EOF:
            number, offset = _partition_and_offset(message)
            progress.offsets[number] = offset
            progress.pending.discard(number)
            progress.silent.discard(number)
        elif error.code() in (errors._AUTO_OFFSET_RESET, errors.OFFSET_OUT_OF_RANGE):
            self._restart(_partition_and_offset(message)[0], progress)
        else:
            self._note(error)
            if error.code() in (errors.TOPIC_AUTHORIZATION_FAILED, errors.UNKNOWN_TOPIC_OR_PART):
                raise self._failure()

    def _restart_beyond_end(self, progress: _Progress) -> None:
        """Restart partitions that end before the offset, as not every broker reports them."""
        for number in progress.silent - progress.restarted:
            limits = self._consumer.get_watermark_offsets(self._position(number, 0), cached=True)
            if limits is not None and 0 <= limits[1] < progress.starts[number]:
                self._restart(number, progress)

    def _restart(self, number: int, progress: _Progress) -> None:
        if number not in progress.restarted:
            progress.restarted.add(number)
            self._consumer.incremental_unassign([self._position(number, 0)])
            self._consumer.incremental_assign([self._position(number, self._library.OFFSET_BEGINNING)])

    def _position(self, number: int, offset: int) -> Any:  # noqa: ANN401 - a class of the optional extra
        return self._library.TopicPartition(self._topic, number, offset)

    def _note(self, error: "KafkaError") -> None:
        self._codes.add(error.code())

    def _failure(self) -> NovoicError:
        """Make the error from the codes only: the texts of librdkafka may quote anything."""
        errors = self._library.KafkaError
        known = {
            errors._AUTHENTICATION: f"the brokers refuse the login; check {USERNAME}, {PASSWORD} and {MECHANISM}",
            errors._SSL: f"TLS with the brokers fails; check {SECURITY}, {CA}, {CERTIFICATE} and {KEY}",
            errors.TOPIC_AUTHORIZATION_FAILED: f"the user may not read the topic that {TOPIC} names; grant access",
            errors.UNKNOWN_TOPIC_OR_PART: f"the topic that {TOPIC} names does not exist; create it",
            errors.TOPIC_EXCEPTION: f"{TOPIC} is not a valid name of a topic; correct it",
            errors._RESOLVE: f"this machine cannot resolve the hosts in {SERVERS}; correct them",
        }
        for code, text in known.items():
            if code in self._codes:
                return NovoicError(f"Kafka cannot be read: {text}")
        see = f"{SECURITY}, {CERTIFICATE}" if self._security.endswith("SSL") else SECURITY
        return NovoicError(
            f"Kafka cannot be read: the brokers in {SERVERS} do not answer; check that they run, and check {see}"
        )


def _partition_and_offset(message: "Message") -> tuple[int, int]:
    """Give the partition and the offset of a message."""
    number, offset = message.partition(), message.offset()
    if number is None or offset is None:
        raise NovoicError("Kafka cannot be read: a message has no partition or no offset; check the brokers")
    return number, offset
