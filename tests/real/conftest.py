"""Fixtures of the tests that need Docker, Kubernetes or a running Airflow."""

from __future__ import annotations

from ..integration.conftest import _channel_runs_again, channel, database, local_shapes, moto_s3, rclone_s3
from ..parts.real_parts import _docker, base_image, kubeconfig, runner_image

__all__ = [
    "_channel_runs_again",
    "_docker",
    "base_image",
    "channel",
    "database",
    "kubeconfig",
    "local_shapes",
    "moto_s3",
    "rclone_s3",
    "runner_image",
]
