"""The first lines of the runner: its libraries are beside this file, and nowhere else."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parent / "site"))

from airflow_conda_flow.runner.command import run_as_program

run_as_program()
