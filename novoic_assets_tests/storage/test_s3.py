"""Files and tables in a bucket of a real S3 service: the same as in a folder, plus failures of a network."""

import http.server
import json
import os
import pickle
import re
import subprocess
import sys
import threading
import traceback
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import obstore
import pytest

from novoic_assets.errors import NovoicError, StorageError
from novoic_assets.reasons import Reason, Refused
from novoic_assets.storage import files as module
from novoic_assets.storage.files import Storage
from novoic_assets.storage.tables import CommitConflictError
from novoic_assets_tests.engines.builders import content, rows, table_in
from novoic_assets_tests.weed import SeaweedFS

SETTING = "NOVOIC_RAW"
SECRET = "S001-secret"


@pytest.fixture
def raw(s3: str) -> Storage:
    return Storage(s3, SETTING)


def paths(storage: Storage, prefix: str) -> set[str]:
    return {info.path for info in storage.list(prefix)}


# Files


def test_a_listing_has_files_at_any_depth_and_none_of_a_folder_with_a_longer_name(raw: Storage) -> None:
    for path in ("text/a.xml", "text/site/2024/ü b+c%.xml", "text2/d.xml", "e.xml"):
        raw.write(path, b"12345")
    assert paths(raw, "text") == {"text/a.xml", "text/site/2024/ü b+c%.xml"}
    for info in raw.list("text"):
        assert info == raw.stat(info.path)
        assert raw.read(info.path) == b"12345"


def test_more_files_than_a_page_are_all_listed(raw: Storage) -> None:
    for index in range(1_050):
        raw.write(f"text/{index}.xml", b"1")
    assert len(list(raw.list("text"))) == 1_050


def test_another_lab_in_the_same_bucket_is_not_seen(raw: Storage) -> None:
    raw.write("text/a.xml", b"1")
    Storage(f"{raw.root}2", SETTING).write("text/b.xml", b"1")
    assert paths(raw, "text") == {"text/a.xml"}


def test_a_file_is_created_once(raw: Storage) -> None:
    assert raw.create("key", b"first")
    assert not raw.create("key", b"second")
    assert raw.read("key") == b"first"


def test_a_file_that_is_deleted_is_gone_and_may_be_deleted_again(raw: Storage) -> None:
    raw.write("key", b"1")
    raw.delete("key")
    raw.delete("key")
    assert raw.stat("key") is None
    with pytest.raises(FileNotFoundError):
        raw.read("key")


def test_a_recording_is_read_in_blocks_at_any_place(raw: Storage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_REMOTE_BLOCK", 1000)
    data = bytes(index * 7 % 251 for index in range(12_345))
    raw.write("audio/a.wav", data)
    (info,) = raw.list("audio")
    reader = raw.open_listed(info.path, info.size, info.etag)
    for start, count in ((0, 44), (11_000, 5_000), (999, 2), (12_345, 1), (44, 12_301)):
        reader.seek(start)
        assert reader.read(count) == data[start : start + count]
    assert reader.sha256() == raw.open_listed(info.path, info.size, info.etag).sha256()


@pytest.mark.parametrize("new", [b"3", b"another content of the same file", None], ids=["shorter", "other", "gone"])
def test_a_recording_that_changes_while_it_is_read_is_refused(
    raw: Storage, monkeypatch: pytest.MonkeyPatch, new: bytes | None
) -> None:
    monkeypatch.setattr(module, "_REMOTE_BLOCK", 8)
    raw.write("audio/a.wav", b"the content of the first file...")
    (info,) = raw.list("audio")
    reader = raw.open_listed(info.path, info.size, info.etag)
    assert reader.read(8) == b"the cont"
    if new is None:
        raw.delete("audio/a.wav")
    else:
        raw.write("audio/a.wav", new)
    with pytest.raises(Refused) as refused:
        reader.read(8)
    assert refused.value.reason == Reason.FILE_CHANGED


def test_a_pickled_storage_holds_no_credentials(raw: Storage, s3_server: SeaweedFS) -> None:
    raw.write("text/a.xml", b"1")
    packed = pickle.dumps(raw)
    assert s3_server.access_key.encode() not in packed
    assert s3_server.secret_key.encode() not in packed
    assert paths(pickle.loads(packed), "text") == {"text/a.xml"}


# Tables


def test_a_table_in_a_bucket_keeps_what_is_put_into_it(s3: str) -> None:
    table = table_in(s3)
    assert not table.exists()
    table.snapshot().replace(rows({"a": 1, "b": 2}), ["a", "b"])
    table.snapshot().replace(rows({"b": 3}), ["b", "a"])
    assert content(table) == {"b": 3}
    assert table.snapshot(1).select().num_rows == 2


def test_the_second_of_two_commits_to_one_version_is_a_conflict(s3: str) -> None:
    table = table_in(s3)
    first, second = table.snapshot(), table.snapshot()
    first.replace(rows({"a": 1}), ["a"])
    with pytest.raises(CommitConflictError):
        second.replace(rows({"b": 2}), ["b"])
    assert content(table) == {"a": 1}


def test_many_commits_at_once_lose_nothing(s3: str) -> None:
    table = table_in(s3)
    table.snapshot()

    def commit(number: int) -> None:
        while True:
            try:
                table.snapshot().replace(rows({f"s{number}": number}), [f"s{number}"])
            except CommitConflictError:
                continue
            return

    threads = [threading.Thread(target=commit, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert content(table) == {f"s{number}": number for number in range(8)}


def test_many_small_commits_are_compacted(s3: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("novoic_assets.storage.tables._MANY_FILES", 4)
    monkeypatch.setattr("novoic_assets.storage.tables._VACUUM_EVERY", 2)
    table = table_in(s3)
    for number in range(5):
        table.snapshot().replace(rows({f"s{number}": number}), [f"s{number}"])
    table.snapshot().tidy()
    assert len(table.snapshot()._delta.file_uris()) == 1
    assert content(table) == {f"s{number}": number for number in range(5)}


# Failures


OPERATIONS: dict[str, Callable[[str], object]] = {
    "list": lambda root: list(Storage(root, SETTING).list("text")),
    "stat": lambda root: Storage(root, SETTING).stat(SECRET),
    "read": lambda root: Storage(root, SETTING).read(SECRET),
    "write": lambda root: Storage(root, SETTING).write(SECRET, b"1"),
    "create": lambda root: Storage(root, SETTING).create(SECRET, b"1"),
    "open": lambda root: Storage(root, SETTING).open_listed(SECRET, 10, "etag").read(1),
    "look at a table": lambda root: table_in(root).exists(),
    "open a table": lambda root: table_in(root).snapshot(),
}


def failure_of(operation: str, root: str) -> str:
    with pytest.raises(StorageError) as error:
        OPERATIONS[operation](root)
    told = "".join(traceback.format_exception(error.value))
    assert SECRET not in told
    assert not re.search(r"s3://|http://|secret-bucket", str(error.value))
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize("operation", OPERATIONS)
def test_wrong_credentials_are_one_clear_line(s3: str, monkeypatch: pytest.MonkeyPatch, operation: str) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "not the key")
    assert "access to the bucket that NOVOIC_" in failure_of(operation, s3)


@pytest.mark.parametrize("operation", ["list", "open a table"])
def test_no_credentials_are_one_clear_line(s3: str, monkeypatch: pytest.MonkeyPatch, operation: str) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_METADATA_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setenv("NOVOIC_S3_RETRY_SECONDS", "1")
    assert "there are no AWS credentials" in failure_of(operation, s3)


@pytest.mark.parametrize("operation", ["list", "read", "write", "look at a table", "open a table"])
def test_a_missing_bucket_is_one_clear_line(s3: str, operation: str) -> None:
    assert "does not exist" in failure_of(operation, "s3://secret-bucket/prefix")


@pytest.mark.parametrize("operation", OPERATIONS)
def test_a_service_that_does_not_answer_is_one_clear_line_after_some_tries(
    s3: str, monkeypatch: pytest.MonkeyPatch, operation: str
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("NOVOIC_S3_RETRY_SECONDS", "1")
    assert "does not answer, tried for 1 s" in failure_of(operation, s3)


def test_a_read_waits_for_a_service_that_is_down_for_a_moment(raw: Storage, s3_server: SeaweedFS) -> None:
    table = table_in(raw.root)
    raw.write("text/a.xml", b"1")
    table.snapshot().replace(rows({"a": 1}), ["a"])
    s3_server.stop()
    back = threading.Timer(1.0, s3_server.start)
    back.start()
    try:
        assert raw.read("text/a.xml") == b"1"
        assert content(table) == {"a": 1}
    finally:
        back.join()


def test_a_missing_prefix_is_an_error_and_not_an_empty_listing(raw: Storage) -> None:
    with pytest.raises(StorageError, match="nothing below its prefix"):
        list(raw.list("text"))
    raw.write("metadata.csv", b"1")
    with pytest.raises(StorageError, match="no folder 'text'"):
        list(raw.list("text"))


@pytest.mark.parametrize("value", ["soon", "-1", "1.5"])
def test_an_invalid_time_to_retry_is_one_clear_line(raw: Storage, monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("NOVOIC_S3_RETRY_SECONDS", value)
    with pytest.raises(NovoicError, match="NOVOIC_S3_RETRY_SECONDS"):
        raw.stat("a")


# Encryption


def test_a_setting_makes_the_service_encrypt_written_files(s3: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SERVER_SIDE_ENCRYPTION", "AES256")
    raw = Storage(s3, SETTING)
    raw.write("training_data/a", b"1")
    table_in(s3).snapshot().replace(rows({"a": 1}), ["a"])
    written = ["training_data/a", *(info.path for info in raw.list("restricted"))]
    assert len(written) >= 4
    for path in written:
        address = obstore.sign(raw._store, "HEAD", path, timedelta(minutes=1))
        with urllib.request.urlopen(urllib.request.Request(address, method="HEAD")) as answer:
            assert answer.headers["x-amz-server-side-encryption"] == "AES256"
    assert raw.read("training_data/a") == b"1"
    assert content(table_in(s3)) == {"a": 1}


@contextmanager
def service(answer: type[http.server.BaseHTTPRequestHandler]) -> Iterator[str]:
    """Serve answers that SeaweedFS never gives; yield the address."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), answer)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()


class Quiet(http.server.BaseHTTPRequestHandler):
    """A handler that writes no log."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        pass

    def answer(self, status: int, body: bytes = b"", **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def test_one_unreadable_recording_among_readable_ones_is_refused(s3: str, monkeypatch: pytest.MonkeyPatch) -> None:
    class Archive(Quiet):
        """Denies reading recordings, as the storage class of an archive does."""

        def do_GET(self) -> None:
            if "/audio/" in self.path:
                self.answer(403, b"<Error><Code>InvalidObjectState</Code></Error>")
            else:
                self.answer(
                    206, b"s", ETag='"e"', Content_Range="bytes 0-0/9", Last_Modified="Tue, 24 Nov 2026 00:00:00 GMT"
                )

    with service(Archive) as address:
        monkeypatch.setenv("AWS_ENDPOINT_URL", address)
        with pytest.raises(Refused) as refused:
            Storage(s3, SETTING).open_listed("audio/a.wav", 10, "e").read(1)
    assert refused.value.reason == Reason.UNREADABLE_FILE


def test_files_and_tables_request_the_key_of_the_key_management_service(
    s3: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[dict[str, str]] = []

    class Recorder(Quiet):
        """Accepts every PUT, stores nothing, and keeps the headers of requests."""

        def do_PUT(self) -> None:
            self.rfile.read(int(self.headers["content-length"] or 0))
            seen.append({name.lower(): value for name, value in self.headers.items()})
            self.answer(200, ETag='"e"')

        def do_GET(self) -> None:
            body = b"<ListBucketResult></ListBucketResult>" if "list-type" in self.path else b""
            self.answer(200 if body else 404, body)

    with service(Recorder) as address:
        monkeypatch.setenv("AWS_ENDPOINT_URL", address)
        monkeypatch.setenv("AWS_SERVER_SIDE_ENCRYPTION", "aws:kms")
        monkeypatch.setenv("AWS_SSE_KMS_KEY_ID", "a-key")
        monkeypatch.setenv("NOVOIC_S3_RETRY_SECONDS", "1")
        Storage(s3, SETTING).write("a", b"1")
        assert len(seen) == 1
        # Use another process: deltalake blocks the threads of this one, which run the service. The command fails in the
        # end, since the service does not return what it received.
        make_table = f"from novoic_assets_tests.engines.builders import table_in; table_in({s3!r}).snapshot()"
        subprocess.run([sys.executable, "-c", make_table], capture_output=True, check=False)
    assert len(seen) > 1
    for headers in seen:
        assert headers["x-amz-server-side-encryption"] == "aws:kms"
        assert headers["x-amz-server-side-encryption-aws-kms-key-id"] == "a-key"
        assert ("if-none-match" in headers) == (headers is not seen[0])


def use_role(s3: str, s3_server: SeaweedFS, **settings: str) -> None:
    """Write a file and a table without a key in the environment, in another process: deltalake would block this one."""
    work = (
        "import sys; from novoic_assets_tests.engines.builders import rows, table_in;"
        "from novoic_assets.storage.files import Storage;"
        "root = sys.argv[1]; Storage(root, 'NOVOIC_STORE').write('a', b'1');"
        "table_in(root).snapshot().replace(rows({'a': 1}), ['a'])"
    )
    environment = {name: value for name, value in os.environ.items() if name not in s3_server.environment}
    done = subprocess.run(
        [sys.executable, "-c", work, s3],
        env={**environment, "AWS_ENDPOINT_URL": s3_server.endpoint, **settings},
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()
    assert Storage(s3, SETTING).read("a") == b"1"
    assert content(table_in(s3)) == {"a": 1}


def role_of(s3_server: SeaweedFS) -> bytes:
    """The credentials of a role, in the format of AWS's services."""
    keys = {"AccessKeyId": s3_server.access_key, "SecretAccessKey": s3_server.secret_key, "Token": ""}
    return json.dumps({**keys, "Code": "Success", "Expiration": "2099-01-01T00:00:00Z"}).encode()


def test_the_role_of_a_machine_gives_files_and_tables_their_credentials(s3: str, s3_server: SeaweedFS) -> None:
    """EC2 gives a machine its role in three steps (IMDSv2): a token, the role's name and its credentials."""
    path = "/latest/meta-data/iam/security-credentials/"
    asked: list[str] = []

    class Metadata(Quiet):
        def do_PUT(self) -> None:
            asked.append("token")
            self.answer(200 if self.path == "/latest/api/token" else 404, b"a token")

        def do_GET(self) -> None:
            asked.append(self.path.removeprefix(path))
            bodies = {path: b"recorder", f"{path}recorder": role_of(s3_server)}
            is_known = self.headers["x-aws-ec2-metadata-token"] == "a token" and self.path in bodies
            self.answer(200 if is_known else 401, bodies.get(self.path, b"") if is_known else b"")

    with service(Metadata) as address:
        use_role(s3, s3_server, AWS_METADATA_ENDPOINT=address)
    assert set(asked) == {"token", "", "recorder"}


def test_the_role_of_a_container_gives_files_and_tables_their_credentials(
    s3: str, s3_server: SeaweedFS, tmp_path: Path
) -> None:
    """Kubernetes and container services give a role to a container in this way."""
    asked: list[str | None] = []

    class Credentials(Quiet):
        def do_GET(self) -> None:
            asked.append(self.headers["authorization"])
            self.answer(200, role_of(s3_server), Content_Type="application/json")

    token = tmp_path / "token"
    token.write_text("who I am")
    with service(Credentials) as address:
        use_role(
            s3,
            s3_server,
            AWS_CONTAINER_CREDENTIALS_FULL_URI=address,
            AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE=str(token),
        )
    assert set(asked) == {"who I am"}
