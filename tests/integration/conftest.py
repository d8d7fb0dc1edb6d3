"""Fixtures of the integration tests: a conda channel, two kinds of S3, Airflow's database, finished runs."""

from __future__ import annotations

from ..parts.airflow_machine import database
from ..parts.graphs.shape_runs import local_shapes
from ..parts.s3_servers import moto_s3, rclone_s3
from ..parts.served_channel import _channel_runs_again, channel

__all__ = ["_channel_runs_again", "channel", "database", "local_shapes", "moto_s3", "rclone_s3"]
