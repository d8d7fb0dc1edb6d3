"""The S3 client of this process. The first use imports botocore."""

from __future__ import annotations

import os
import threading
from typing import Any

from airflow_conda_flow.errors import SettingError
from airflow_conda_flow.settings.loading import metaflow_setting

from .s3_patience import QUIET, Watcher

_METAFLOW = "METAFLOW_S3_ENDPOINT_URL"


class ClientOfProcess:
    """Holder of one client per process: clients are thread-safe, but cannot be used after a fork."""

    def __init__(self) -> None:
        self._clients: dict[int, Any] = {}
        self._mutex = threading.Lock()

    def get(self) -> Any:
        """Client of the calling process, made by the first call.

        Raises:
            SettingError: the endpoint that is set is no URL.
        """
        pid = os.getpid()
        with self._mutex:
            if pid not in self._clients:
                self._clients = {pid: _make_client()}
            return self._clients[pid]


def custom_endpoint() -> tuple[str | None, str]:
    """Endpoint that is set, None for AWS itself, and the name of the variable or setting that sets it."""
    for name in ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"):
        if url := os.environ.get(name):
            return url, name
    return metaflow_setting(_METAFLOW), _METAFLOW


def _make_client() -> Any:
    # 0.15 s that only S3 users pay. Not boto3, whose resources and transfers would cost a third more.
    import botocore.session  # type: ignore[import-untyped]  # noqa: PLC0415
    from botocore.config import Config  # type: ignore[import-untyped]  # noqa: PLC0415

    custom, name = custom_endpoint()
    config = Config(
        retries={"mode": "standard", "max_attempts": 4},
        # One pool serves all threads: up to 32 of ``s3_objects.py`` and 8 for each transfer. With the default
        # of 10, urllib3 would open a connection for each further request and discard it.
        max_pool_connections=64,
        # As by default connecting may take 60 s, an unreachable endpoint would cost minutes with the retries.
        connect_timeout=10,
        # Three of these fill the deadline of ``s3_patience.py``.
        read_timeout=QUIET,
        # Firewalls and load balancers silently drop connections that idle between two requests.
        tcp_keepalive=True,
        # The default since botocore 1.36 sends checksum trailers that other S3 implementations
        # refuse, and hashes every upload once more. We verify SHA-256 when we read.
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
        # Buckets as host names need a DNS entry each, which servers behind a custom endpoint lack.
        s3={"addressing_style": "path" if custom else "auto"},
    )
    session = botocore.session.get_session()
    try:
        client = session.create_client(
            "s3", config=config, endpoint_url=custom if name == _METAFLOW else None
        )
        Watcher(client)
    except ValueError as error:
        if custom is None:
            raise
        raise SettingError(f"{name} is {custom!r}: expected a URL with http:// or https://.") from error
    return client
