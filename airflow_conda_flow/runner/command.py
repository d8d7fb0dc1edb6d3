"""The command line of the runner in a container, first of all ``runner run '<request as JSON>'``.

Settings come from environment variables alone: ``CONDA_FLOW_*`` for ours, ``AWS_*`` and the rest of
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

_USAGE_ERROR = 2
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
    """Run the command line of this process and end it with the exit code."""
    code = main(sys.argv[1:])
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)  # py-rattler's native code may crash where the interpreter is torn down


def main(argv: Sequence[str]) -> int:
    """Run the command; returns the exit code, see ``run_in_container``. A usage error is 2."""
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
