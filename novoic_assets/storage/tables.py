"""Delta tables below `restricted/tables/`: read snapshots, write atomic commits.

This module does not import Dagster.
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

# deltalake 1.6 converts a path to a URL. With one of these characters it uses a wrong path, or aborts.
_UNFIT: Final = frozenset("%[\\]^|")
_CONTROL: Final = frozenset(map(chr, (*range(32), 127)))
_COMMITS: Final = (".json", ".parquet")
# A row may hold 3,000 words. With more threads or larger batches, reading 1,000 such rows takes twice the memory.
_FRUGAL: Final = {"batch_size": 64, "target_partitions": 1}
_MANY_FILES: Final = 64
_VACUUM_EVERY: Final = 64  # commits
_KEPT_HOURS: Final = 7 * 24


class CommitConflictError(Exception):
    """Another writer committed to the table after the snapshot was taken."""


@dataclass(frozen=True)
class Table:
    """A table of the store: its place, its columns and its key column.

    Attributes:
        storage: The store.
        name: The table's name, a folder below `restricted/tables/`.
        schema: The table's columns.
        key: A string column whose values are unique.
        renamed: By column, the present name of each renamed value, by the name in older rows. Reading replaces the old
            name; the stored rows do not change.
    """

    storage: Storage
    name: str
    schema: pa.Schema
    key: str
    renamed: Mapping[str, Mapping[str, str]] = field(default_factory=dict, hash=False)

    def exists(self) -> bool:
        """Whether the table has any commit.

        Raises:
            StorageError: The storage does not answer.
        """
        # Do not ask deltalake: it would block all threads of this process while a bucket does not answer.
        log = f"{self._path}/_delta_log"
        if not self.storage.has_folder(log):
            return False
        # A killed run may have left a folder without a commit. A bucket has no folders.
        return self.storage.is_remote or any(info.path.endswith(_COMMITS) for info in self.storage.list(log))

    def snapshot(self, version: int | None = None) -> "Snapshot":
        """Open the table as it is now, or as it was at a version. A missing table is created empty.

        A table that an older version of this package wrote with other columns is rewritten with the present columns; a
        new column is null in the old rows.

        Args:
            version: The version to open; None means the latest, and only then is a table created or rewritten.

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
            # Arrow fills missing fields of a struct with nulls, at any depth.
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
            # Another run migrated the table first, or wrote rows. In that case the next snapshot migrates it.
            return

    def _create(self) -> None:
        try:
            DeltaTable.create(
                self._url,
                schema=self.schema,
                mode="ignore",
                storage_options=self.storage.delta_options,
                commit_properties=CommitProperties(max_commit_retries=0),  # else a race creates the table twice
            )
        except CommitFailedError:
            # Another run created the table after the check and before the commit.
            if not self.exists():
                raise

    def _error(self, done: str, error: Exception) -> StorageError:
        """Describe an error of Delta without its own text, which quotes paths."""
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
                f"the path that {self.storage.setting} names has one of the characters"
                f" {' '.join(sorted(_UNFIT))} or a control character; choose another path to keep tables"
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
        """Read rows of the table, sorted by key.

        Args:
            columns: Names of the columns to read; None reads all.
            keys: Keys of the rows to read; None reads all.

        Raises:
            StorageError: The table cannot be read.
        """
        names = list(columns) if columns is not None else self._table.schema.names
        key = self._table.key
        schema = self._schema(dict.fromkeys([*names, key]))
        rows = pa.Table.from_batches(self._read(schema.names, keys, {}), schema)
        # Sort here: ORDER BY in the query takes three times the memory and twice the time.
        order = pc.sort_indices(rows[key])
        is_sorted = pc.all(pc.less_equal(order[:-1], order[1:])).as_py() is not False
        return (rows if is_sorted else rows.take(order)).select(names)

    def batches(self, columns: Sequence[str], keys: Iterable[str] | None = None) -> Iterator[pa.RecordBatch]:
        """Read rows of the table in small batches, in no particular order. Use it for columns with large values.

        Reading takes little memory beyond the rows that the caller keeps.

        Args:
            columns: Names of the columns to read.
            keys: Keys of the rows to read; None reads all.

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
            # Use the query builder: DeltaTable.to_pyarrow_table has aborted short processes at their exit.
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
        """Replace the rows with the given keys by new rows, in one commit.

        Args:
            rows: The new rows; their keys are among `keys`.
            keys: Keys of the rows to replace. If there are none, nothing is committed.

        Raises:
            CommitConflictError: The table changed after the snapshot was taken; nothing is written.
            StorageError: The table cannot be written.
        """
        if keys:
            self._write(rows, self._in(keys))

    def overwrite(self, rows: pa.Table) -> None:
        """Replace all rows of the table, in one commit.

        Raises:
            CommitConflictError: The table changed after the snapshot was taken; nothing is written.
            StorageError: The table cannot be written.
        """
        self._write(rows, None)

    def tidy(self) -> None:
        """Keep a table fast that receives many small commits.

        Each such commit adds a file. Once the table has 64 files, this merges them into one. `_vacuum` later deletes
        the old files, and those that a commit replaced. If another run commits meanwhile, the next run tidies.

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
        """Delete files that no version of the last seven days needs.

        If another run commits meanwhile, a later call deletes them.
        """
        try:
            self._delta.vacuum(
                retention_hours=_KEPT_HOURS,
                dry_run=False,
                commit_properties=CommitProperties(max_commit_retries=0),
                full=True,  # also uncommitted files of killed runs, and files that the log no longer lists
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
                # Any commit in between is a conflict: the caller derives the rows again instead of resending them.
                commit_properties=CommitProperties(max_commit_retries=0),
            )
        except CommitFailedError:
            raise CommitConflictError from None
        except (DeltaError, pa.ArrowException, OSError) as error:
            raise self._table._error("written", error) from None
        self.version = self._delta.version()
        # Count commits, not files in use: a commit that replaces rows leaves old files behind without adding any.
        if self.version % _VACUUM_EVERY == 0:
            self._vacuum()

    def _in(self, keys: Iterable[str]) -> str:
        quoted = ", ".join("'" + key.replace("'", "''") + "'" for key in keys)
        return f'"{self._table.key}" IN ({quoted})' if quoted else "false"
