"""Settings of wide foreaches under Airflow."""

from __future__ import annotations

from airflow_conda_flow.settings.option import Option

FOREACH_OPTIONS = (
    # A mapped task costs Airflow about a second whatever its step does, and its grid shows some hundred.
    Option(
        "foreach_tasks",
        "256",
        "How many mapped tasks a foreach has in Airflow at most; never more than [core] max_map_length. A "
        "foreach with more splits runs in so many blocks of consecutive splits. Used under Airflow alone.",
        kind="integer",
    ),
    Option(
        "splits_at_once",
        "",
        "How many splits of a block run at the same time. Empty: as many as the worker has cores, and 10 if "
        "the splits are pods or jobs. Used under Airflow alone.",
        kind="integer",
    ),
)
