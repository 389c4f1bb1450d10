"""Delta tables below `restricted/tables/`: snapshots to read, atomic commits to write.

Nothing here imports Dagster.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc
from deltalake import CommitProperties, DeltaTable, QueryBuilder, Schema, write_deltalake
from deltalake.exceptions import CommitFailedError, DeltaError

from novoic_assets.errors import StorageError
from novoic_assets.storage import s3
from novoic_assets.storage.files import Storage

# deltalake 1.6 makes a URL of a path and loses its way, or aborts, where the path has one of these.
_UNFIT: Final = frozenset("%[\\]^|")
_CONTROL: Final = frozenset(map(chr, (*range(32), 127)))
_COMMITS: Final = (".json", ".parquet")
# A row may hold 3,000 words: read with more threads, or more rows at a time, 1,000 of them take twice the memory.
_FRUGAL: Final = {"batch_size": 64, "target_partitions": 1}
_MANY_FILES: Final = 64
_VACUUM_EVERY: Final = 64  # commits
_KEPT_HOURS: Final = 7 * 24


class CommitConflictError(Exception):
    """Somebody else committed to the table since the snapshot was taken."""


@dataclass(frozen=True)
class Table:
    """A table of the store: where it is, its columns, and the column that names a row.

    Attributes:
        storage: The store.
        name: The table's name, a folder below `restricted/tables/`.
        schema: The table's columns.
        key: A string column whose values are unique.
        renamed: By column, values that have another name now, by the name that older rows have. They are read under
            their present name; the rows stay as they are.
    """

    storage: Storage
    name: str
    schema: pa.Schema
    key: str
    renamed: Mapping[str, Mapping[str, str]] = field(default_factory=dict, hash=False)

    def exists(self) -> bool:
        """Whether anything was ever committed to the table.

        Raises:
            StorageError: The storage does not answer.
        """
        # Not by deltalake, which would hold up all threads of this process while a bucket does not answer.
        log = f"{self._path}/_delta_log"
        if not self.storage.has_folder(log):
            return False
        # A run that was killed may have left a folder without a commit; a bucket has no folders.
        return self.storage.is_remote or any(info.path.endswith(_COMMITS) for info in self.storage.list(log))

    def snapshot(self, version: int | None = None) -> "Snapshot":
        """The table as it is now, or as it was at a version; an absent table is created empty.

        A table that an older version of this package wrote, with other columns, is written anew with those that
        there are now: what is new is null in its rows.

        Raises:
            StorageError: The table cannot be read or created.
        """
        self.storage.make_private("restricted")
        try:
            if version is None and not self.exists():
                self._create()
            delta = self._open(version)
            if version is None and delta.schema().to_json() != Schema.from_arrow(self.schema).to_json():
                self._migrate(delta)
                delta = self._open(None)
            return Snapshot(self, delta)
        except (DeltaError, pa.ArrowException, OSError) as error:
            raise self._error("opened", error) from None

    def _open(self, version: int | None) -> DeltaTable:
        return DeltaTable(self._url, version=version, storage_options=self.storage.delta_options)

    def _migrate(self, delta: DeltaTable) -> None:
        stored = pa.table(QueryBuilder().register("t", delta).execute("SELECT * FROM t"))
        columns = {
            # Arrow fills the fields that a struct lacks with nulls, at any depth.
            field.name: stored[field.name].cast(field.type)
            if field.name in stored.column_names
            else pa.nulls(stored.num_rows, field.type)
            for field in self.schema
        }
        try:
            write_deltalake(
                delta,
                pa.table(columns, schema=self.schema),
                mode="overwrite",
                schema_mode="overwrite",
                commit_properties=CommitProperties(max_commit_retries=0),
            )
        except CommitFailedError:
            # Another run did it first, or wrote rows; then the next look does it.
            return

    def _create(self) -> None:
        try:
            DeltaTable.create(
                self._url,
                schema=self.schema,
                mode="ignore",
                storage_options=self.storage.delta_options,
                commit_properties=CommitProperties(max_commit_retries=0),  # else a table is created twice over
            )
        except CommitFailedError:
            # Another run created it between the look and the commit.
            if not self.exists():
                raise

    def _error(self, done: str, error: Exception) -> StorageError:
        """What to say of an error of Delta, whose own text quotes paths."""
        why = type(error).__name__
        if self.storage.is_remote:
            why = s3.explain(error, self.storage.setting, done, self.storage.patience)
        return StorageError(f"the table {self.name} cannot be {done} ({why})")

    @property
    def _path(self) -> str:
        return f"restricted/tables/{self.name}"

    @property
    def _url(self) -> str:
        url = self.storage.url(self._path)
        if not (_UNFIT | _CONTROL).isdisjoint(url):
            raise StorageError(
                f"what {self.storage.setting} names has one of the characters"
                f" {' '.join(sorted(_UNFIT))} or a control character in its path; tables cannot be kept there"
            )
        return url


class Snapshot:
    """A table at one version."""

    def __init__(self, table: Table, delta: DeltaTable) -> None:
        self._table = table
        self._delta = delta
        self.version: int = delta.version()
        self.schema = table.schema

    def select(self, columns: Sequence[str] | None = None, keys: Iterable[str] | None = None) -> pa.Table:
        """Rows of the table, sorted by key.

        Args:
            columns: The columns to read; all where None.
            keys: The rows to read; all where None.

        Raises:
            StorageError: The table cannot be read.
        """
        names = list(columns) if columns is not None else self._table.schema.names
        key = self._table.key
        schema = self._schema(dict.fromkeys([*names, key]))
        rows = pa.Table.from_batches(self._read(schema.names, keys, {}), schema)
        # Sorted here: the query's own ORDER BY takes three times the memory and twice the time.
        order = pc.sort_indices(rows[key])
        is_sorted = pc.all(pc.less_equal(order[:-1], order[1:])).as_py() is not False
        return (rows if is_sorted else rows.take(order)).select(names)

    def batches(self, columns: Sequence[str], keys: Iterable[str] | None = None) -> Iterator[pa.RecordBatch]:
        """Rows of the table in no order, few at a time, for columns whose rows are large.

        Reading takes little memory beside the rows that the caller keeps.

        Args:
            columns: The columns to read.
            keys: The rows to read; all where None.

        Raises:
            StorageError: The table cannot be read.
        """
        return self._read(columns, keys, _FRUGAL)

    def _read(
        self, columns: Sequence[str], keys: Iterable[str] | None, settings: Mapping[str, int]
    ) -> Iterator[pa.RecordBatch]:
        wanted = ", ".join(f'"{name}"' for name in columns)
        where = "" if keys is None else f"WHERE {self._in(keys)}"
        query = f"SELECT {wanted} FROM t {where}"  # noqa: S608 - names are ours, keys quoted
        schema = self._schema(columns)
        try:
            # The query builder, since DeltaTable.to_pyarrow_table has aborted short processes at their exit.
            builder = QueryBuilder().register("t", self._delta)
            for name, value in settings.items():
                list(builder.execute(f"SET datafusion.execution.{name} = {value}"))
            for batch in pa.RecordBatchReader.from_stream(builder.execute(query)):
                yield self._with_present_names(batch.cast(schema))
        except (DeltaError, pa.ArrowException, OSError) as error:
            raise self._table._error("read", error) from None

    def _with_present_names(self, rows: pa.RecordBatch) -> pa.RecordBatch:
        for name, names in self._table.renamed.items():
            index = rows.schema.get_field_index(name)
            if index < 0:
                continue
            column = rows[name]
            for old, new in names.items():
                column = pc.if_else(pc.equal(column, old), new, column)
            rows = rows.set_column(index, rows.schema.field(index), column)
        return rows

    def _schema(self, columns: Iterable[str]) -> pa.Schema:
        return pa.schema([self._table.schema.field(name) for name in columns])

    def replace(self, rows: pa.Table, keys: Sequence[str]) -> None:
        """Put `rows` in the place of all rows named by `keys`, in one commit.

        Args:
            rows: The new rows; their keys are among `keys`.
            keys: The keys of the rows that go; where there are none, nothing is committed.

        Raises:
            CommitConflictError: The table has changed since the snapshot was taken; nothing is written.
            StorageError: The table cannot be written.
        """
        if keys:
            self._write(rows, self._in(keys))

    def overwrite(self, rows: pa.Table) -> None:
        """Put `rows` in the place of the whole table, in one commit.

        Raises:
            CommitConflictError: The table has changed since the snapshot was taken; nothing is written.
            StorageError: The table cannot be written.
        """
        self._write(rows, None)

    def tidy(self) -> None:
        """Keep a table fast that is committed to in small pieces.

        Such a commit adds a file. Once there are 64, they are made into one; the old ones are deleted later, as
        are those that a commit replaced (`_vacuum`). A run that commits meanwhile goes first: the next one tidies.

        Raises:
            StorageError: The table cannot be written.
        """
        if len(self._delta.file_uris()) < _MANY_FILES:
            return
        try:
            self._delta.optimize.compact(commit_properties=CommitProperties(max_commit_retries=0))
        except CommitFailedError:
            return
        except (DeltaError, OSError) as error:
            raise self._table._error("tidied", error) from None
        finally:
            self.version = self._delta.version()

    def _vacuum(self) -> None:
        """Delete files that no version of the last seven days needs; where another commits meanwhile, later."""
        try:
            self._delta.vacuum(
                retention_hours=_KEPT_HOURS,
                dry_run=False,
                commit_properties=CommitProperties(max_commit_retries=0),
                full=True,  # also what a killed run wrote and did not commit, and what the log has forgotten
            )
        except CommitFailedError:
            return
        except (DeltaError, OSError) as error:
            raise self._table._error("tidied", error) from None
        finally:
            self.version = self._delta.version()

    def _write(self, rows: pa.Table, predicate: str | None) -> None:
        try:
            write_deltalake(
                self._delta,
                rows.select(self._table.schema.names).cast(self._table.schema),
                mode="overwrite",
                predicate=predicate,
                # Any commit in between is a conflict: what to write is derived anew, never sent again.
                commit_properties=CommitProperties(max_commit_retries=0),
            )
        except CommitFailedError:
            raise CommitConflictError from None
        except (DeltaError, pa.ArrowException, OSError) as error:
            raise self._table._error("written", error) from None
        self.version = self._delta.version()
        # By commits and not by files: a commit that replaces rows leaves old files behind and adds none.
        if self.version % _VACUUM_EVERY == 0:
            self._vacuum()

    def _in(self, keys: Iterable[str]) -> str:
        quoted = ", ".join("'" + key.replace("'", "''") + "'" for key in keys)
        return f'"{self._table.key}" IN ({quoted})' if quoted else "false"
