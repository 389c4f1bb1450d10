"""The Spark engine: rows equal those of the pool, Spark shows nothing of a session, and deaths of workers."""

import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import dagster as dg
import pyarrow as pa
import pytest

from novoic_assets.engines import spark
from novoic_assets.engines.contract import SessionEngine, slices
from novoic_assets.engines.pool import PoolEngine
from novoic_assets.engines.spark import SparkEngine
from novoic_assets.errors import NovoicError
from novoic_assets.resources.configured import FeatureSettingsResource
from novoic_assets.resources.spark_session import SparkResource
from novoic_assets.stages.audio import AudioStage
from novoic_assets.stages.parsing import ParsedStage
from novoic_assets.stages.text import TextStage
from novoic_assets.storage.files import Storage
from novoic_assets_tests.engines import builders
from novoic_assets_tests.lab import Lab
from novoic_assets_tests.needs import needs

pytestmark = [
    pytest.mark.slow,  # starting the session takes a quarter of a minute
    needs("java"),
]

TASKS = {f"S{number}": number for number in range(37)}
SQUARES = {session: number**2 for session, number in TASKS.items()}
CANARY = "zebrafinch"
Call = Callable[[pa.RecordBatch], pa.RecordBatch]


def stop(resource: SparkResource) -> None:
    resource.teardown_after_execution(dg.build_init_resource_context())


def run(engine: SessionEngine, call: Call, tasks: dict[str, int], costs: list[float] | None = None) -> dict[str, int]:
    batches = list(engine.map(builders.Function(call), builders.rows(tasks), costs or [1.0] * len(tasks)))
    table = pa.Table.from_batches(batches, builders.SCHEMA)
    assert sorted(table["session"].to_pylist()) == sorted(tasks)
    return {row["session"]: row["n"] for row in table.to_pylist()}


def texts(error: BaseException) -> str:
    """Everything that a traceback shows of an exception."""
    assert error.__cause__ is None
    assert error.__context__ is None
    return repr(error)


# Functions for workers are defined inside other functions: so they travel by value, and workers import no test module.


def task_ids() -> Call:
    """Give the Spark task of each session."""

    def call(batch: pa.RecordBatch) -> pa.RecordBatch:
        from pyspark import TaskContext

        context = TaskContext.get()
        assert context is not None
        return with_numbers(batch, context.taskAttemptId())

    return call


def executors() -> Call:
    """Give the process of each session's executor."""

    def call(batch: pa.RecordBatch) -> pa.RecordBatch:
        time.sleep(0.3)
        return with_numbers(batch, executor_process())

    return call


def lose_executor_once(folder: Path) -> Call:
    """Kill the executor of the first call, as the loss of its machine does."""

    def call(batch: pa.RecordBatch) -> pa.RecordBatch:
        try:
            (folder / "lost").touch(exist_ok=False)
        except FileExistsError:
            return builders.squares(batch)
        os.kill(executor_process(), signal.SIGKILL)
        time.sleep(600)
        raise AssertionError

    return call


def with_numbers(batch: pa.RecordBatch, number: int) -> pa.RecordBatch:
    return pa.RecordBatch.from_pydict(
        {"session": batch["session"], "n": [number] * batch.num_rows}, schema=builders.SCHEMA
    )


def executor_process() -> int:
    """In a worker, find its executor's JVM: the parent of the daemon that forks the workers."""
    answer = subprocess.run(["ps", "-o", "ppid=", "-p", str(os.getppid())], capture_output=True, text=True, check=True)
    return int(answer.stdout)


def same_rows_as_the_pool(lab: Lab, engine: SparkEngine) -> None:
    lab.fill(4)
    lab.add_session("B1", "P0", words="</w> the & boy")  # not XML
    (lab.raw / "audio" / "S3.wav").write_bytes(b"RIFF")  # not a recording
    run_of_raw = lab.run(select=["raw_metadata", "raw_transcripts", "raw_audio", "parsed_transcripts"])
    assert run_of_raw.success
    raw = Storage(str(lab.raw), "NOVOIC_RAW")
    for stage in (
        ParsedStage(raw, lab.tables),
        TextStage(lab.tables, FeatureSettingsResource().compute_text),
        AudioStage(lab.tables, FeatureSettingsResource().compute_audio(raw)),
    ):
        upstream = stage.upstream()
        tasks = upstream.tasks(list(upstream.wanted))
        wanted = [upstream.wanted[session] for session in tasks["session"].to_pylist()]
        families = [list(each.families) for each in wanted]
        tasks = tasks.append_column("compute", pa.array(families, pa.list_(pa.string())))
        costs = [stage.cost(each, names) for each, names in zip(wanted, families, strict=True)]
        with PoolEngine(1) as pool:
            expected = pa.Table.from_batches(pool.map(stage.function(), tasks, costs))
        found = pa.Table.from_batches(engine.map(stage.function(), tasks, costs))
        assert found.schema == expected.schema == stage.function().schema
        # Compare as text, where NaNs are equal.
        assert [*map(repr, found.sort_by("session").to_pylist())] == [
            *map(repr, expected.sort_by("session").to_pylist())
        ]
        assert {"ok"} < set(found["reason"].to_pylist())


@pytest.fixture(scope="class")
def events(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("events")


@pytest.fixture(scope="class")
def resource(events: Path) -> Iterator[SparkResource]:
    shown = {
        "spark.ui.enabled": "true",
        "spark.ui.port": "0",
        "spark.sql.ui.explainMode": "extended",
        "spark.eventLog.enabled": "true",
        "spark.eventLog.dir": events.as_uri(),
        "spark.eventLog.compress": "false",
    }
    resource = SparkResource(master="local[2]", settings=shown)
    yield resource
    stop(resource)


@pytest.fixture
def engine(resource: SparkResource) -> SparkEngine:
    return resource.engine


@pytest.fixture(scope="class")
def on_cluster(spark_master: str) -> Iterator[SparkEngine]:
    resource = SparkResource(
        master=spark_master,
        settings={
            "spark.driver.host": "127.0.0.1",
            "spark.driver.bindAddress": "127.0.0.1",
            "spark.executor.memory": "600m",
        },
    )
    yield resource.engine
    stop(resource)


@pytest.fixture(scope="module", autouse=True)
def no_master() -> Iterator[subprocess.Popen[str]]:
    """Start Spark with a port that answers but is not a master. It gives up after a minute, while other tests run."""
    script = (
        "import socket\n"
        "from novoic_assets.errors import NovoicError\n"
        "from novoic_assets.resources.spark_session import SparkResource\n"
        "with socket.create_server(('127.0.0.1', 0)) as server:\n"
        "    try:\n"
        "        SparkResource(master=f'spark://127.0.0.1:{server.getsockname()[1]}').session\n"
        "    except NovoicError as error:\n"
        "        print(repr(error), error.__cause__, error.__context__)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        yield process
        process.kill()


class TestLocal:
    """Local Spark, with its event log and its UI switched on."""

    def test_each_task_has_its_row_and_the_engine_stays_for_the_next_map(self, engine: SparkEngine) -> None:
        assert engine.parallelism == 2
        with engine as entered:
            assert run(entered, builders.squares, TASKS) == SQUARES
        assert run(engine, builders.squares, {"S5": 5}) == {"S5": 25}

    def test_without_tasks_no_session_is_started(self) -> None:
        def session() -> None:
            raise AssertionError

        assert run(SparkEngine(session), builders.squares, {}) == {}  # type: ignore[arg-type]

    def test_the_stages_get_the_rows_that_the_pool_gives(self, lab: Lab, engine: SparkEngine) -> None:
        same_rows_as_the_pool(lab, engine)

    @pytest.mark.parametrize(
        ("costs", "max_jobs"),
        [([1.0] * 40, 64), ([500.0] + [1.0] * 30, 64), ([2.0**number for number in range(20)], 3)],
        ids=["even", "one long", "steep, many to a job"],
    )
    def test_each_slice_is_a_spark_task_of_its_own(
        self, engine: SparkEngine, costs: list[float], max_jobs: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(spark, "_MAX_JOBS", max_jobs)
        tasks = {f"S{number}": number for number in range(len(costs))}
        expected = slices(builders.rows(tasks), costs, 16)
        found = run(engine, task_ids(), tasks, costs)
        together: dict[int, set[str]] = {}
        for session, task in found.items():
            together.setdefault(task, set()).add(session)
        assert Counter(map(frozenset, together.values())) == Counter(
            frozenset(piece["session"].to_pylist()) for piece in expected
        )

    def test_rows_are_there_as_soon_as_their_slice_is_done(self, engine: SparkEngine, tmp_path: Path) -> None:
        go = tmp_path / "go"

        def wait_in_first(batch: pa.RecordBatch) -> pa.RecordBatch:
            while 0 in batch["n"].to_pylist() and not go.exists():
                time.sleep(0.05)
            return builders.squares(batch)

        results = engine.map(builders.Function(wait_in_first), builders.rows(TASKS), [100.0] + [1.0] * 36)
        others = [next(results) for _ in range(15)]
        assert "S0" not in {session for batch in others for session in batch["session"].to_pylist()}
        go.touch()
        assert [batch["session"].to_pylist() for batch in results] == [["S0"]]

    def test_a_map_that_nobody_reads_to_its_end_stops(self, engine: SparkEngine) -> None:
        def sleep_in_first(batch: pa.RecordBatch) -> pa.RecordBatch:
            time.sleep(600 if 0 in batch["n"].to_pylist() else 0)
            return batch

        results = engine.map(builders.Function(sleep_in_first), builders.rows(TASKS), [100.0] + [1.0] * 36)
        assert next(results).num_rows > 0
        results.close()
        assert run(engine, builders.squares, TASKS) == SQUARES

    def test_types_that_spark_lacks_arrive_as_they_were_sent(self, engine: SparkEngine) -> None:
        nested = pa.list_(pa.struct([pa.field("word", pa.large_string()), pa.field("n", pa.uint64(), nullable=False)]))
        schema = pa.schema(
            [
                pa.field("session", pa.large_string()),
                pa.field("nested", nested),
                pa.field("kind", pa.dictionary(pa.int8(), pa.string())),
                pa.field("at", pa.timestamp("ns", "Europe/London")),
            ]
        )
        rows = [
            {
                "session": "S0",
                "nested": [{"word": "boy", "n": 2**64 - 1}, {"word": None, "n": 0}],
                "kind": "a",
                "at": 7,
            },
            {"session": "S1", "nested": None, "kind": None, "at": None},
            {"session": None, "nested": [], "kind": "b", "at": 0},
        ]

        view = pa.schema([pa.field("session", pa.string_view()), *list(schema)[1:]])
        same = builders.Function(lambda batch: batch.cast(view))
        tasks = pa.Table.from_pylist(rows, schema=schema)
        found = pa.Table.from_batches(engine.map(same, tasks, [3.0, 2.0, 1.0]))
        assert found.schema == view
        assert sorted(map(repr, found.to_pylist())) == sorted(map(repr, tasks.to_pylist()))

    def test_blas_has_one_thread(self, engine: SparkEngine) -> None:
        assert set(run(engine, builders.blas_threads, {"a": 0, "b": 0}).values()) == {1}

    def test_an_error_of_the_platform_arrives_with_its_message(self, engine: SparkEngine) -> None:
        with pytest.raises(NovoicError, match="the storage does not answer") as caught:
            run(engine, builders.fail, TASKS)
        texts(caught.value)

    def test_of_any_other_exception_only_the_type_and_the_place_arrive(self, engine: SparkEngine) -> None:
        def quote(batch: pa.RecordBatch) -> pa.RecordBatch:
            raise ValueError(batch["session"][0].as_py())

        with pytest.raises(NovoicError, match=r"ValueError at test_spark\.py:\d+") as caught:
            run(engine, quote, {f"{CANARY}{number}": number for number in range(3)})
        assert CANARY not in texts(caught.value)

    def test_an_exception_of_spark_itself_is_one_line(self, engine: SparkEngine) -> None:
        class Unloadable:
            def __reduce__(self) -> tuple[object, ...]:
                return (os.stat, ("/somebody",))

        found = Unloadable()

        def call(batch: pa.RecordBatch) -> pa.RecordBatch:
            assert found is not None
            return batch

        with pytest.raises(NovoicError, match=r"Spark failed \(PythonException.*\)") as caught:
            run(engine, call, TASKS)
        assert "somebody" not in texts(caught.value)
        assert "\n" not in str(caught.value)

    def test_a_session_whose_worker_dies_is_refused_and_the_others_are_computed(self, engine: SparkEngine) -> None:
        assert run(engine, builders.die_of_seven, TASKS) == {**SQUARES, "S7": builders.REFUSED}

    def test_a_worker_that_dies_once_costs_nobody_anything(self, engine: SparkEngine, tmp_path: Path) -> None:
        assert run(engine, partial(builders.die_once, folder=tmp_path), TASKS) == SQUARES
        assert (tmp_path / "died").exists()

    def test_nothing_of_a_session_is_in_what_spark_shows(
        self, resource: SparkResource, engine: SparkEngine, events: Path
    ) -> None:
        tasks = {f"{CANARY}{number}": number for number in range(20)}

        def quote(batch: pa.RecordBatch) -> pa.RecordBatch:
            raise NovoicError(batch["session"][0].as_py())  # which no real function does

        run(engine, builders.squares, tasks)
        run(engine, builders.die_of_seven, tasks)
        with pytest.raises(NovoicError):
            run(engine, quote, tasks)
        shown = what_spark_shows(resource, events)
        assert "Scan ExistingRDD arrow" in shown
        assert "WORKER_DIED" in shown or "exited unexpectedly" in shown
        assert CANARY not in shown
        # Spark does show a word in a plan or in an exception, so this test would find it.
        other = "zebradove"
        resource.session.range(1).selectExpr(f"'{other}' AS word").toArrow()
        assert other in what_spark_shows(resource, events)


def what_spark_shows(resource: SparkResource, events: Path) -> str:
    """Collect the event log and the UI's REST interface and pages."""
    context = resource.session.sparkContext
    context._jsc.sc().listenerBus().waitUntilEmpty()
    api = f"{context.uiWebUrl}/api/v1/applications/{context.applicationId}"

    def get(url: str) -> str:
        with urllib.request.urlopen(url, timeout=60) as answer:
            return answer.read().decode()

    queries = "sql?details=true&planDescription=true&length=100000"
    listed = get(f"{api}/{queries}")
    addresses = [f"{api}/{name}" for name in ("jobs", "stages?details=true", "executors", "environment", "storage/rdd")]
    addresses += [f"{context.uiWebUrl}/{page}/" for page in ("jobs", "stages", "storage", "environment", "SQL")]
    last = max(query["id"] for query in json.loads(listed))
    addresses += [f"{context.uiWebUrl}/SQL/execution/?id={number}" for number in (0, last)]
    logged = [path.read_text() for path in sorted(events.rglob("*")) if path.is_file()]
    assert any(logged)
    return "\n".join([listed, *map(get, addresses), *logged])


class TestCluster:
    """A cluster of two executors, each in its own process."""

    def test_the_stages_get_the_rows_that_the_pool_gives(self, lab: Lab, on_cluster: SparkEngine) -> None:
        assert on_cluster.parallelism == 2
        same_rows_as_the_pool(lab, on_cluster)

    def test_the_work_is_spread_over_the_executors(self, on_cluster: SparkEngine) -> None:
        found = Counter(run(on_cluster, executors(), TASKS).values())
        assert len(found) == 2
        assert min(found.values()) >= 10
        assert len(set(run(on_cluster, task_ids(), TASKS).values())) == 16

    def test_a_worker_that_dies_costs_its_own_session(self, on_cluster: SparkEngine) -> None:
        assert run(on_cluster, builders.die_of_seven, TASKS) == {**SQUARES, "S7": builders.REFUSED}

    def test_an_error_of_the_platform_arrives_with_its_message(self, on_cluster: SparkEngine) -> None:
        with pytest.raises(NovoicError, match="the storage does not answer"):
            run(on_cluster, builders.fail, TASKS)

    def test_an_executor_that_is_lost_costs_nobody_anything(self, on_cluster: SparkEngine, tmp_path: Path) -> None:
        assert run(on_cluster, lose_executor_once(tmp_path), TASKS) == SQUARES
        assert (tmp_path / "lost").exists()


class TestResource:
    """Start and end of the session."""

    def test_the_master_comes_from_the_environment(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("NOVOIC_SPARK_MASTER", raising=False)
        assert SparkResource().master == ""
        monkeypatch.setenv("NOVOIC_SPARK_MASTER", "local[3]")
        assert SparkResource().master == "local[3]"

    def test_settings_come_before_the_defaults(self) -> None:
        config = SparkResource(master="local[2]", settings={"spark.sql.session.timeZone": "CET"}).spark_config
        assert config["spark.sql.session.timeZone"] == "CET"
        assert config["spark.driver.host"] == "127.0.0.1"
        assert "spark.driver.host" not in SparkResource(master="spark://host:7077").spark_config

    def test_a_session_ends_with_the_run_that_started_it(self) -> None:
        found: list[object] = []

        class Outer(dg.ConfigurableResource):  # type: ignore[type-arg]
            spark: SparkResource

        @dg.asset
        def first(spark: SparkResource) -> None:
            found.append(spark.session.sparkContext)

        @dg.asset(deps=[first])
        def second(spark: SparkResource) -> None:
            found.append(spark.session.sparkContext)

        @dg.asset
        def nested(outer: Outer) -> None:
            found.append(outer.spark.session.sparkContext)

        resource = SparkResource(master="local[1]")
        assert dg.materialize([first, second], resources={"spark": resource}).success
        assert found[0] is found[1]
        assert is_stopped(found[0])
        assert dg.materialize([nested], resources={"outer": Outer(spark=resource)}).success
        assert found[2] is not found[0]
        assert is_stopped(found[2])

    def test_an_earlier_session_keeps_running(self) -> None:
        before, during = SparkResource(master="local[1]"), SparkResource(master="local[2]")
        try:
            context = before.session.sparkContext
            assert during.session.sparkContext is context
            stop(during)
            assert not is_stopped(context)
        finally:
            stop(before)
        assert is_stopped(context)

    def test_a_session_that_was_stopped_is_an_error_in_one_line(self) -> None:
        resource = SparkResource(master="local[1]")
        engine = resource.engine
        assert engine.parallelism == 1
        stop(resource)
        with pytest.raises(NovoicError, match="Spark failed") as caught:
            run(engine, builders.squares, TASKS)
        texts(caught.value)

    @pytest.mark.parametrize("master", ["spark://127.0.0.1:1", "spark://127.0.0.1:1,127.0.0.1:2", "k8s://127.0.0.1:1"])
    def test_a_master_that_does_not_answer_is_reported_at_once(self, master: str) -> None:
        started = time.monotonic()
        with pytest.raises(NovoicError, match="NOVOIC_SPARK_MASTER") as caught:
            _ = SparkResource(master=master).engine.parallelism
        texts(caught.value)
        assert time.monotonic() - started < 15

    @pytest.mark.parametrize("master", ["", "nowhere", "spark://host:port"])
    def test_an_invalid_master_is_reported(self, master: str) -> None:
        with pytest.raises(NovoicError, match="NOVOIC_SPARK_MASTER") as caught:
            _ = SparkResource(master=master).session
        texts(caught.value)

    def test_a_service_that_is_not_a_master_is_reported(self, no_master: subprocess.Popen[str]) -> None:
        output, _ = no_master.communicate()
        assert re.fullmatch(r"NovoicError\('[^\n]*NOVOIC_SPARK_MASTER[^\n]*'\) None None\n", output), output

    def test_missing_java_is_reported(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        monkeypatch.delenv("JAVA_HOME", raising=False)
        monkeypatch.setenv("PATH", str(tmp_path))
        with pytest.raises(NovoicError, match="NOVOIC_SPARK_MASTER is set, but there is no Java"):
            _ = SparkResource(master="local[1]").session
        monkeypatch.setenv("JAVA_HOME", str(tmp_path))
        with pytest.raises(NovoicError, match="no Java where JAVA_HOME says"):
            _ = SparkResource(master="local[1]").session

    def test_a_run_writes_nothing_to_the_terminal(self, tmp_path: Path) -> None:
        script = (
            "import dagster as dg\n"
            "from novoic_assets.resources.spark_session import SparkResource\n"
            "from novoic_assets_tests.engines import builders\n"
            "spark = SparkResource(master='local[2]')\n"
            "function = builders.Function(builders.die_of_seven)\n"
            "tasks = builders.rows({f'S{number}': number for number in range(9)})\n"
            "assert sum(batch.num_rows for batch in spark.engine.map(function, tasks, [1.0] * 9)) == 9\n"
            "spark.teardown_after_execution(dg.build_init_resource_context())\n"
        )
        done = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
        assert list(tmp_path.iterdir()) == []


def is_stopped(context: object) -> bool:
    return context._jsc is None  # type: ignore[attr-defined]
