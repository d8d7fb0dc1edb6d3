"""``airflow dags test`` for many DAGs in one process, which saves starting Airflow and its API for each.

Its argument is a JSON list of (DAG id, conf), one DAG run each; each DAG is in a file of its name. The last
line is a JSON list with, for each, how the run ended and the states of its tasks.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path

from airflow.cli import cli_parser
from airflow.models import DagRun, TaskInstance
from airflow.utils.session import create_session
from sqlalchemy import select


def states(dag_id: str) -> dict[str, str]:
    """The state of every task instance of the latest run, by task id or ``task id[map index]``."""
    with create_session() as session:
        run = session.scalars(
            select(DagRun).where(DagRun.dag_id == dag_id).order_by(DagRun.id.desc())
        ).first()
        instances = session.scalars(
            select(TaskInstance).where(TaskInstance.dag_id == dag_id, TaskInstance.run_id == run.run_id)
        )
        return {
            each.task_id if each.map_index < 0 else f"{each.task_id}[{each.map_index}]": str(each.state)
            for each in instances
        }


@contextlib.contextmanager
def alone(dag_id: str) -> Iterator[None]:
    """Leave one DAG in the folder while the block runs: ``dags test`` compiles and stores all that are there, twice."""
    folder = Path(os.environ["AIRFLOW__CORE__DAGS_FOLDER"])
    others = {path: path.read_bytes() for path in folder.glob("*.py") if path.stem != dag_id}
    for path in others:
        path.unlink()
    try:
        yield
    finally:
        for path, text in others.items():
            path.write_bytes(text)


def main() -> None:
    """Run them one after the other."""
    parser = cli_parser.get_parser()
    outcomes = []
    for dag_id, conf in json.loads(sys.argv[1]):
        arguments = parser.parse_args(["dags", "test", dag_id, "--conf", json.dumps(conf)])
        try:
            with alone(dag_id):
                arguments.func(arguments)
            ended = "done"
        except BaseException as error:  # noqa: BLE001 - the command ends with SystemExit where a run fails
            ended = f"{type(error).__name__}: {error}"
        outcomes.append({"dag": dag_id, "conf": conf, "ended": ended, "states": states(dag_id)})
    print()
    print(json.dumps(outcomes))


if __name__ == "__main__":
    main()
