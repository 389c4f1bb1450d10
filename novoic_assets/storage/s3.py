"""S3 buckets: open a store from an address and the environment variables that AWS's own tools use.

Files (obstore) and tables (deltalake) use the same settings. Each process takes its credentials from its own
environment or from the role of its machine. Credentials never travel.

This module does not import Dagster.
"""

from datetime import timedelta
from typing import Final

import obstore
from obstore.store import S3Store

from novoic_assets.errors import StorageError
from novoic_assets.settings import settings

SCHEME: Final = "s3://"
_MAX_BACKOFF_SECONDS: Final = 5
_MAX_RETRIES: Final = 10_000  # the time limit ends retries first
_ROLE_SERVICE: Final = "/latest/api/token"  # where obstore looks for the machine's role if no credentials are set
_DENIED: Final = ("403 Forbidden", "401 Unauthorized")
_SILENT: Final = ("error sending request", "timed out", "Server returned non-2xx status code: 5")


def split_url(root: str, setting: str) -> tuple[str, str]:
    """Split an address such as `s3://bucket/prefix`.

    Args:
        root: The address.
        setting: Name of the setting that gave it.

    Returns:
        The bucket and the prefix, without slashes at its ends; the prefix may be empty.

    Raises:
        StorageError: The address has another form.

    >>> split_url("s3://bucket/a/prefix/", "NOVOIC_RAW")
    ('bucket', 'a/prefix')
    """
    bucket, _, prefix = root.removeprefix(SCHEME).partition("/")
    if not root.startswith(SCHEME) or not bucket:
        raise StorageError(f"{setting} must be a folder of this machine or s3://bucket/prefix")
    return bucket, prefix.strip("/")


def open_store(root: str, setting: str, patience: int | None = None) -> S3Store:
    """Open the store at an address, without sending a request.

    Args:
        root: The address.
        setting: Name of the setting that gave it.
        patience: Longest time in seconds to retry a request; None means as long as NOVOIC_S3_RETRY_SECONDS says. It can
            only shorten that time.

    Raises:
        NovoicError: The address or a setting is invalid.
    """
    bucket, prefix = split_url(root, setting)
    endpoint, seconds = settings().aws_endpoint_url, _retry_seconds(patience)
    try:
        return S3Store(
            bucket,
            prefix=prefix or None,
            config={"region": settings().aws_region, **({"endpoint": endpoint} if endpoint else {})},
            client_options={"allow_http": _is_plain(endpoint)},
            retry_config={
                "max_retries": _MAX_RETRIES,
                "retry_timeout": timedelta(seconds=seconds),
                "backoff": {"max_backoff": timedelta(seconds=_MAX_BACKOFF_SECONDS)},
            },
        )
    except obstore.exceptions.BaseError as error:
        raise StorageError(
            f"the settings of the bucket that {setting} names are invalid ({type(error).__name__});"
            " check the environment variables AWS_…"
        ) from None


def delta_options(patience: int | None = None) -> dict[str, str]:
    """Give the same settings as storage options of deltalake.

    A commit is a conditional put (`If-None-Match: *`), so no lock service is needed.

    Args:
        patience: As for `open_store`.

    Raises:
        NovoicError: A setting is invalid.
    """
    endpoint = settings().aws_endpoint_url
    return {
        "aws_region": settings().aws_region,
        **({"aws_endpoint": endpoint} if endpoint else {}),
        "aws_allow_http": str(_is_plain(endpoint)).lower(),
        "aws_conditional_put": "etag",
        "max_retries": str(_MAX_RETRIES),
        "retry_timeout": f"{_retry_seconds(patience)}s",
        "backoff_config.max_backoff": f"{_MAX_BACKOFF_SECONDS}s",
    }


def explain(error: Exception, setting: str, done: str, patience: int | None = None) -> str:
    """Explain an error of obstore or deltalake in one line, without its own text, which quotes object keys.

    Args:
        error: The error.
        setting: Name of the setting that gave the bucket.
        done: The failed action as a participle, such as `read`.
        patience: As for `open_store`.
    """
    what = f"the bucket that {setting} names"
    text = str(error)
    if _ROLE_SERVICE in text:
        return f"there are no AWS credentials for {what}; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or a role"
    if any(sign in text for sign in _DENIED):
        return f"access to {what} is denied; check its policy and the AWS credentials of this process"
    if "NoSuchBucket" in text:
        return f"{what} does not exist; check {setting}"
    if "redirect" in text:
        return f"{what} is in another region; set AWS_REGION"
    if any(sign in text for sign in _SILENT):
        return f"{what} does not answer, tried for {_retry_seconds(patience)} s; run again when it does"
    return f"{what} cannot be {done} ({type(error).__name__})"


def _is_plain(endpoint: str) -> bool:
    return endpoint.startswith("http://")


def _retry_seconds(patience: int | None = None) -> int:
    seconds = settings().s3_retry_seconds
    return seconds if patience is None else min(seconds, patience)
