"""``logs scrub``: overwrite the logs of tasks in the datastore."""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterator, Sequence

from airflow_conda_flow.cli.parser import chosen_settings
from airflow_conda_flow.cli.past_runs import tasks_of
from airflow_conda_flow.datastore import layout
from airflow_conda_flow.datastore.catalogue import RunCatalogue
from airflow_conda_flow.datastore.datastore import open_datastore
from airflow_conda_flow.datastore.logs import stamp, write_log
from airflow_conda_flow.datastore.storage import Storage
from airflow_conda_flow.errors import SettingError
from airflow_conda_flow.flow.username import username
from airflow_conda_flow.records.names import AttemptName
from airflow_conda_flow.records.task_record import TaskRecord

_LOG = re.compile(r"(\d+)\.(stdout|stderr)")


def scrub(arguments: argparse.Namespace, flow: str, pathspec: str, streams: Sequence[str]) -> int:
    """Replace each log with one line that names the user; the number of logs goes to stderr.

    Args:
        arguments: arguments of ``logs``.
        flow: name of the flow.
        pathspec: names the tasks, as ``RUN/STEP`` or ``RUN/STEP/TASK``.
        streams: streams to scrub.

    Raises:
        SettingError: ``--all`` and ``--attempt`` are both given.
    """
    if arguments.all and arguments.attempt is not None:
        raise SettingError("--all and --attempt exclude one another.")
    settings = chosen_settings(arguments)
    datastore = open_datastore(settings.datastore, settings.datastore_root, settings.cache_dir)
    storage = datastore.storage
    line = stamp() + f"(scrubbed by {username()})\n".encode()
    for task in tasks_of(RunCatalogue(datastore), flow, pathspec, arguments.attempt):
        count = 0
        for name, stream in _stored(storage, task, everyone=arguments.all):
            if stream in streams:
                write_log(storage, name, stream, line)
                count += 1
        _, run_id, step, task_id = task.ran_as.task.parts
        sys.stderr.write(f"Scrubbed {count} logs of run_id={run_id} step={step} task_id={task_id}\n")
    return 0


def _stored(storage: Storage, task: TaskRecord, *, everyone: bool) -> Iterator[tuple[AttemptName, str]]:
    """Attempts and streams that have a log. A clone has none of its own: those of the original task count."""
    ran_as = task.ran_as
    for name in storage.list_names(layout.task_folder(ran_as.task)):
        found = _LOG.fullmatch(name)
        if found and (everyone or int(found[1]) == ran_as.number):
            yield ran_as.task.attempt(int(found[1])), found[2]
