"""Settings of wide foreaches under Airflow."""

from __future__ import annotations

from airflow_conda_flow.settings.option import Option

FOREACH_OPTIONS = (
    # A mapped task costs Airflow about a second whatever its step does, and its grid shows some hundred.
    Option(
        "foreach_tasks",
        "256",
        "Splits up to which each split of a foreach is a mapped task of Airflow; never more than [core] "
        "max_map_length. More of them run in blocks of consecutive splits. Used under Airflow alone.",
        kind="integer",
    ),
    # As many tasks as Airflow's [core] parallelism lets run unless it is configured: more blocks would only
    # wait, and each is another start of a worker.
    Option(
        "foreach_blocks",
        "32",
        "How many blocks a foreach with more than foreach_tasks splits runs in, but never more than "
        "foreach_tasks. Used under Airflow alone.",
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
