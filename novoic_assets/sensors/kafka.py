"""Define the sensor that starts a run when a Kafka topic reports new data.

Messages only decide when to look; the look itself is the same as the other sensor's. The cursor holds the offsets, and
Dagster stores it together with the run that a tick requests: only then a message is done.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Final

import dagster as dg

from novoic_assets.resources.configured import ArrivalResource, RawDataResource, StoreResource
from novoic_assets.resources.kafka import KafkaResource
from novoic_assets.resources.topic import Batch, Judge
from novoic_assets.sensors.deciding import Decision, decide, decide_from_look
from novoic_assets.sensors.events import MessageKind, read_event
from novoic_assets.sensors.looking import look
from novoic_assets.sensors.runs import is_going, run_request, run_sensor, utc_now
from novoic_assets.stages.listing import Cutoffs
from novoic_assets.storage import s3
from novoic_assets.storage.files import Storage

KAFKA: Final = "kafka"
_DESCRIPTION: Final = (
    "Starts a run when a Kafka topic has reported files in the raw folder, or an earlier run left work undone."
)


# Largest difference between the clocks of this machine and of the machine that writes the files, in s.
_CLOCKS_APART: Final = 60.0


@dataclass(frozen=True, slots=True)
class _Cursor:
    """What the sensor remembers from tick to tick.

    Attributes:
        offsets: The next offset to read of each partition.
        until: Until this time, in seconds since 1970, every tick looks, even without a message, since reported files
            may still be on their way. None: a tick looks only after a relevant message or a gap in the topic, or if a
            run left work undone.
        tried: The cursor of the decision.
    """

    offsets: Mapping[int, int]
    until: float | None
    tried: str | None

    @classmethod
    def read(cls, cursor: str | None) -> "_Cursor":
        """Read a cursor; an empty one if `written` did not make it."""
        try:
            content = json.loads(cursor or "")
            offsets = {int(number): int(offset) for number, offset in content["offsets"].items()}
            until, tried = content["until"], content["tried"]
            return cls(offsets, None if until is None else float(until), None if tried is None else str(tried))
        except (ValueError, TypeError, KeyError, AttributeError):
            return cls({}, None, None)

    def written(self) -> str:
        return json.dumps({"offsets": dict(self.offsets), "until": self.until, "tried": self.tried})


def kafka_sensor(job_name: str, assets: Sequence[dg.AssetKey]) -> dg.SensorDefinition:
    """Return the sensor of the topic.

    Args:
        job_name: The job to run.
        assets: What the job materializes.

    Raises:
        NovoicError: A setting cannot be read.
    """

    @run_sensor(KAFKA, job_name, _DESCRIPTION)
    def kafka_events(
        context: dg.SensorEvaluationContext,
        raw: RawDataResource,
        store: StoreResource,
        arrival: ArrivalResource,
        kafka: KafkaResource,
    ) -> dg.RunRequest | dg.SkipReason:
        """Read the topic, look if there is a reason, and start a run or report why not."""
        now = utc_now()
        cutoffs = arrival.cutoffs(now)
        before = _Cursor.read(context.cursor)
        if is_going(context.instance, job_name, assets, now):
            # New messages wait in the topic, for the look after this run.
            decision = decide(
                job_name=job_name,
                assets=assets,
                instance=context.instance,
                raw=raw.storage,
                tables=store.tables,
                cutoffs=cutoffs,
                cursor=before.tried,
                now=now,
            )
            return _answer(context, decision, replace(before, tried=decision.cursor), cutoffs, "the topic waits")
        batch = kafka.read(_judge(raw.storage), before.offsets)
        if batch.unanswered:
            context.log.warning(f"{batch.unanswered} partitions of the topic do not answer")
        until = before.until
        if batch.counts[MessageKind.RELEVANT] or batch.first or batch.lost:
            until = now.timestamp() + arrival.pair_seconds + arrival.settle_seconds + _CLOCKS_APART
        if until is None and before.tried is None:
            decision = Decision(run=False, why="there is no reason to look", cursor=None)
        else:
            found = look(raw.storage, store.tables, context.instance, assets, cutoffs, now)
            decision = decide_from_look(found, before.tried, now)
            if until is not None and until <= now.timestamp():
                until = None  # that was the last look
        return _answer(context, decision, _Cursor(batch.offsets, until, decision.cursor), cutoffs, _summary(batch))

    return kafka_events


def _answer(
    context: dg.SensorEvaluationContext, decision: Decision, cursor: _Cursor, cutoffs: Cutoffs, summary: str
) -> dg.RunRequest | dg.SkipReason:
    context.update_cursor(cursor.written())
    why = f"{summary}; {decision.why}"
    if not decision.run:
        return dg.SkipReason(why)
    context.log.info(why)
    return run_request(cutoffs)


def _judge(raw: Storage) -> Judge:
    bucket, prefix = s3.split_url(raw.root, raw.setting) if raw.is_remote else (None, "")
    return partial(read_event, bucket=bucket, prefix=prefix)


def _summary(batch: Batch) -> str:
    """Return the numbers of messages that a read found."""
    counts = ", ".join(f"{batch.counts[kind]} {kind}" for kind in MessageKind)
    lost = "; the topic lost messages before they were read" if batch.lost else ""
    return f"messages: {counts}{lost}"
