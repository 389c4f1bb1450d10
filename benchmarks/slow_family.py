"""A family as slow as a large model, which `novoic` must spread over its workers.

`NOVOIC_FAMILIES=benchmarks.slow_family:SLOW` adds it.
"""

import time
from typing import Final

from novoic_assets.features.family import ALL, Computed, Cost, Speaker, Value
from novoic_assets.features.text.conversation import Conversation
from novoic_assets.features.text.session import TextFamily

SECONDS: Final = 0.5
"""Seconds of CPU for each session."""


def _compute(conversation: Conversation, speaker: Speaker) -> Computed:
    end = time.process_time() + SECONDS
    while time.process_time() < end:
        pass
    return [float(len(conversation.words(speaker)))]


SLOW: Final = TextFamily(
    name="slow",
    version="1",
    description="Half a second of CPU for each session.",
    members=(Value(name="slow_words", unit="words", formula="number of words", source="counted"),),
    speakers=(ALL,),
    cost=Cost(session=SECONDS),
    compute=_compute,
)
