"""The pool engine: each task runs once, rows are equal inline and in worker processes, and errors arrive."""

import os
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from novoic_assets.engines.contract import slices
from novoic_assets.engines.pool import PoolEngine
from novoic_assets.errors import NovoicError
from novoic_assets.storage.files import Storage
from novoic_assets_tests.engines import builders

LITTLE, MUCH = 1e-3, 20.0  # seconds for each task: done inline, and by worker processes


def run(call: Callable[..., pa.RecordBatch], tasks: dict[str, int], cost: float, workers: int = 2) -> dict[str, int]:
    with PoolEngine(workers) as engine:
        batches = list(engine.map(builders.Function(call), builders.rows(tasks), [cost] * len(tasks)))
    table = pa.Table.from_batches(batches, builders.SCHEMA)
    assert sorted(table["session"].to_pylist()) == sorted(tasks)
    return {row["session"]: row["n"] for row in table.to_pylist()}


TASKS = {f"S{number}": number for number in range(37)}


def test_inline_and_worker_processes_give_the_same_rows() -> None:
    expected = {session: number**2 for session, number in TASKS.items()}
    assert run(builders.squares, TASKS, LITTLE) == expected
    assert run(builders.squares, TASKS, MUCH) == expected


def test_little_work_is_done_in_this_process() -> None:
    assert set(run(builders.process_ids, TASKS, LITTLE).values()) == {os.getpid()}


def test_twenty_sessions_of_half_a_second_are_worth_two_workers() -> None:
    found = set(run(builders.slow_process_ids, {f"S{number}": number for number in range(20)}, 0.5).values())
    assert len(found) == 2
    assert os.getpid() not in found


def test_little_work_is_done_by_workers_where_much_is_left() -> None:
    """What is left decides, and not how much of it comes at once."""
    with PoolEngine(2) as engine:
        first, rest = (builders.rows({f"S{number}": number}) for number in range(2))
        function = builders.Function(builders.process_ids)
        (early,) = engine.map(function, first, [0.01], left=60.0)
        (late,) = engine.map(function, rest, [0.01], left=0.01)
    assert os.getpid() not in early["n"].to_pylist()
    assert os.getpid() not in late["n"].to_pylist()  # workers that were started go on


def test_a_script_that_workers_cannot_import_gets_one_line_at_once(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "from novoic_assets.engines.pool import PoolEngine\n"
        "from novoic_assets_tests.engines import builders\n"
        "with PoolEngine(2) as engine:\n"
        "    tasks = builders.rows({f'S{number}': number for number in range(40)})\n"
        "    print(len(list(engine.map(builders.Function(builders.squares), tasks, [9.0] * 40))))\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run(
        [sys.executable, script], env=environment, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith(
        "novoic_assets.errors.NovoicError: the worker processes end before they start work; a script that runs the job"
    )


def test_one_worker_is_this_process() -> None:
    assert set(run(builders.process_ids, TASKS, MUCH, workers=1).values()) == {os.getpid()}


def test_much_work_is_done_in_other_processes_that_reopen_the_storage(tmp_path: Path) -> None:
    for number in range(6):
        (tmp_path / f"file {number}").write_bytes(b"x" * number)
    storage = Storage(str(tmp_path), "NOVOIC_RAW")
    assert storage.stat("file 5") is not None
    tasks = {f"file {number}": 0 for number in range(6)}
    function = partial(builders.read_sizes, storage=storage)
    assert run(function, tasks, MUCH) == {f"file {number}": number for number in range(6)}


@pytest.mark.parametrize("cost", [LITTLE, MUCH])
def test_without_tasks_there_are_no_rows(cost: float) -> None:
    assert run(builders.squares, {}, cost) == {}


@pytest.mark.parametrize("cost", [LITTLE, MUCH])
def test_blas_has_one_thread(cost: float) -> None:
    assert set(run(builders.blas_threads, {"a": 0, "b": 0}, cost).values()) == {1}


@pytest.mark.parametrize("cost", [LITTLE, MUCH])
def test_an_error_of_the_platform_ends_the_map(cost: float) -> None:
    with pytest.raises(NovoicError, match="the storage does not answer"):
        run(builders.fail, TASKS, cost)


def test_a_session_whose_worker_dies_is_refused_and_the_others_are_computed() -> None:
    expected = {session: number**2 for session, number in TASKS.items()}
    assert run(builders.die_of_seven, TASKS, MUCH) == {**expected, "S7": builders.REFUSED}


def test_a_worker_that_dies_while_much_waits_for_workers_stops_nothing() -> None:
    tasks = {f"S{number} {'x' * 200_000}": number for number in range(8)}  # more than a pipe holds
    expected = {session: builders.REFUSED if number == 7 else number**2 for session, number in tasks.items()}
    assert run(builders.die_slowly_of_seven, tasks, MUCH) == expected


def test_a_worker_that_dies_once_costs_nobody_anything(tmp_path: Path) -> None:
    expected = {session: number**2 for session, number in TASKS.items()}
    assert run(partial(builders.die_once, folder=tmp_path), TASKS, MUCH) == expected
    assert (tmp_path / "died").exists()


def test_a_session_alone_is_tried_again_before_it_is_refused(tmp_path: Path) -> None:
    assert run(partial(builders.die_once, folder=tmp_path), {"S1": 1}, MUCH) == {"S1": 1}
    assert run(builders.die_of_seven, {"S7": 7}, MUCH) == {"S7": builders.REFUSED}


def test_worker_processes_stay_for_the_next_map() -> None:
    with PoolEngine(2) as engine:
        function = builders.Function(builders.process_ids)
        seen = [
            {n for batch in engine.map(function, builders.rows(TASKS), [MUCH] * 37) for n in batch["n"].to_pylist()}
            for _ in range(2)
        ]
    assert seen[0] & seen[1]
    assert os.getpid() not in seen[0] | seen[1]


def test_a_map_that_nobody_reads_to_its_end_stops() -> None:
    with PoolEngine(2) as engine:
        results = engine.map(builders.Function(builders.squares), builders.rows(TASKS), [MUCH] * len(TASKS))
        assert next(results).num_rows > 0
        results.close()


def test_the_default_is_one_worker_for_each_core() -> None:
    assert PoolEngine().parallelism >= 1
    assert PoolEngine(3).parallelism == 3


@settings(max_examples=80, deadline=None)
@given(costs=st.lists(st.floats(0, 1e4), max_size=60), count=st.integers(1, 20))
def test_slices_are_a_balanced_partition_of_the_tasks(costs: list[float], count: int) -> None:
    tasks = builders.rows({f"S{index}": index for index in range(len(costs))})
    pieces = slices(tasks, costs, count)
    members = [piece["n"].to_pylist() for piece in pieces]
    assert sorted(index for piece in members for index in piece) == list(range(len(costs)))
    assert all(members)
    assert len(members) <= count
    totals = [sum(costs[index] for index in piece) for piece in members]
    assert totals == pytest.approx(sorted(totals, reverse=True))  # the most expensive first
    if costs:
        # Longest-processing-time scheduling takes at most 4/3 of the optimum (Graham 1969).
        best = max(sum(costs) / count, *costs)
        assert max(totals) <= best + max(costs) * (1 - 1 / count) + 1e-6


def test_a_long_recording_does_not_hold_up_a_slice_of_others() -> None:
    tasks = builders.rows({f"S{index}": index for index in range(5)})
    assert sorted(piece["n"].to_pylist() for piece in slices(tasks, [1, 1, 1, 1, 4], 2)) == [[0, 1, 2, 3], [4]]


@pytest.mark.parametrize(
    ("n", "at_once", "workers", "expected"),
    [
        (64, 1, 2, 16),  # nothing is asked for
        (64, 8, 2, 8),
        (64, 64, 1, 1),
        (64, 64, 2, 2),  # each worker has something to do
        (3, 64, 8, 3),
        (1_000, 8, 2, 16),
    ],
)
def test_slices_hold_as_many_tasks_as_the_function_wants_at_once(
    n: int, at_once: int, workers: int, expected: int
) -> None:
    tasks = builders.rows({f"S{index:04}": index for index in range(n)})
    assert len(slices(tasks, [1.0] * n, 16, at_once, workers)) == expected


def test_slices_keep_complete_rows_when_tasks_come_in_chunks() -> None:
    tasks = pa.concat_tables([builders.rows({f"S{index}": index}) for index in range(9)])
    found = [row for piece in slices(tasks, [1.0] * 9, 4) for row in piece.to_pylist()]
    assert sorted(found, key=lambda row: row["n"]) == [{"session": f"S{index}", "n": index} for index in range(9)]
