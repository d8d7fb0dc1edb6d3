"""Command line of the runner in a container: ``runner run '<request as JSON>'`` and three more commands.

Settings come from environment variables only: ``CONDA_FLOW_*`` for ours, ``AWS_*`` and the rest of
boto3's default chain for credentials. docs/containers.md is the contract.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from airflow_conda_flow._version import __version__
from airflow_conda_flow.errors import CondaFlowError, SettingError
from airflow_conda_flow.runner.container import (
    CANNOT_RUN,
    container_settings,
    open_container_datastore,
    run_in_container,
)
from airflow_conda_flow.runner.home import install
from airflow_conda_flow.runner.task_request import TaskRequest

_USAGE_ERROR = 2  # as argparse exits; ``CANNOT_RUN`` is for a valid command that cannot be carried out
_USAGE = """Usage: runner run REQUEST
       runner install DIRECTORY
       runner publish
       runner --version

REQUEST is a JSON object:
  {"version": 1, "flow": "AFlow", "run_id": "1", "step": "start", "indices": [], "attempt": 0}
DIRECTORY is where the runner copies itself to, for a container that has none.
publish puts the runner into the datastore, for images that hold none.
"""


def run_as_program() -> NoReturn:
    """Run the command line of this process, then exit with its code."""
    code = main(sys.argv[1:])
    sys.stdout.flush()
    sys.stderr.flush()
    # Not sys.exit: py-rattler's native code may crash while the interpreter shuts down, and the crash would
    # replace the exit code that the compute target reads.
    os._exit(code)


def main(argv: Sequence[str]) -> int:
    """Run one command and return its exit code: 2 for a usage error, else as ``run_in_container``."""
    try:
        match list(argv):
            case ["run", text]:
                return run_in_container(_request(text))
            case ["install", directory]:
                install(Path(directory))
                return 0
            case ["publish"]:
                print(_publish())
                return 0
            case ["--version"]:
                print(__version__)
                return 0
    except (CondaFlowError, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return CANNOT_RUN
    sys.stderr.write(_USAGE)
    return _USAGE_ERROR


def _publish() -> str:
    from airflow_conda_flow.runner.archive import published_runner  # noqa: PLC0415 - seldom wanted

    storage = open_container_datastore(container_settings()).storage
    return f"{storage.url}/{published_runner(storage)}"


def _request(text: str) -> TaskRequest:
    try:
        return TaskRequest.from_dict(json.loads(text))
    except SettingError:
        raise
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise SettingError(
            f"The request {text!r} cannot be read: {error!r}. Expected a JSON object with flow, run_id, "
            "step, indices and attempt."
        ) from error
