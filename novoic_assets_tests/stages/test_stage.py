"""A stage cuts its work into chunks that are bounded by time, by number and by what they weigh."""

from hypothesis import given, settings
from hypothesis import strategies as st

from novoic_assets.stages import stage
from novoic_assets.stages.incremental import Wanted
from novoic_assets.stages.stage import _chunks

MEGABYTE = 2**20


def chunks(costs: list[float], weights: list[int], cores: int) -> list[list[int]]:
    wanted = {str(index): Wanted("", bytes=weight) for index, weight in enumerate(weights)}
    by_session = dict(zip(wanted, costs, strict=True))
    return [[int(session) for session in chunk] for chunk in _chunks(by_session, wanted, cores)]


@settings(deadline=None)
@given(
    sessions=st.lists(st.tuples(st.floats(0, 200), st.integers(0, 400 * MEGABYTE)), max_size=40),
    cores=st.integers(1, 200),
)
def test_every_session_is_in_one_chunk_in_order_and_no_chunk_is_too_large(
    sessions: list[tuple[float, int]], cores: int
) -> None:
    found = chunks([cost for cost, _ in sessions], [weight for _, weight in sessions], cores)
    assert [index for chunk in found for index in chunk] == list(range(len(sessions)))
    for chunk in found:
        assert len(chunk) <= stage._CHUNK_SESSIONS * cores
        if len(chunk) > 1:  # a session alone may be larger than a chunk
            assert sum(sessions[index][0] for index in chunk) <= stage._CHUNK_SECONDS * cores + 1e-3
            assert sum(sessions[index][1] for index in chunk) <= stage._CHUNK_BYTES


def test_a_chunk_grows_with_the_cores_until_it_weighs_too_much() -> None:
    light = [len(chunk) for chunk in chunks([1.0] * 2_000, [0] * 2_000, 10)]
    heavy = [len(chunk) for chunk in chunks([0.1] * 2_000, [MEGABYTE] * 2_000, 1_000)]
    assert 560 <= max(light) <= 600
    assert 200 <= max(heavy) <= 256
