"""Run a DAG with ``airflow dags test``: one line a task on the terminal, all that Airflow says in a file.

    python demo/dag_run.py DAG_ID LOG_FILE

``AIRFLOW_HOME`` holds an SQLite database, and the command ``airflow`` is on ``PATH``. If the DAG run fails,
prints the last lines of the log and exits with 1.
"""

import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

# Tasks of the newest run, which is this one, in the order in which they started; last, those that never did.
_TASKS = """
    select task_id, map_index, state, duration from task_instance
    where run_id = (select run_id from dag_run where dag_id = :dag order by id desc limit 1) and dag_id = :dag
    order by start_date is null, start_date, task_id, map_index
"""
_LAST_LINES = 20


def main(dag_id: str, log_file: str) -> int:
    """Run the DAG; return the exit code."""
    log = Path(log_file)
    print(f"Airflow takes half a minute to start. Its full log is in {log}")
    with log.open("w") as file:
        done = subprocess.run(
            ["airflow", "dags", "test", dag_id],  # noqa: S607 - demo/run puts it on PATH
            stdout=file,
            stderr=subprocess.STDOUT,
            check=False,
        )
    tasks = _tasks(dag_id)
    for task_id, map_index, state, seconds in tasks:
        name = task_id if map_index < 0 else f"{task_id}[{map_index}]"
        took = "" if seconds is None else f"{seconds:6.1f} s"
        print(f"    {name:<20} {state or 'not started':<16} {took}".rstrip())
    if done.returncode == 0 and tasks and all(state in {"success", "skipped"} for _, _, state, _ in tasks):
        return 0
    print(
        f"The DAG run failed. The last lines of {log}:",
        *log.read_text().splitlines()[-_LAST_LINES:],
        sep="\n",
    )
    return 1


def _tasks(dag_id: str) -> "list[tuple[str, int, str | None, float | None]]":
    path = Path(os.environ["AIRFLOW_HOME"]) / "airflow.db"
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as database:
        return database.execute(_TASKS, {"dag": dag_id}).fetchall()


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
