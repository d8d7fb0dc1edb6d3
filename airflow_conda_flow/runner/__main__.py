"""``python -m airflow_conda_flow.runner``: the runner's command line in an ordinary installation.

Containers start ``bin/runner`` instead, which ``self_contained.py`` writes.
"""

from airflow_conda_flow.runner.command import run_as_program

if __name__ == "__main__":
    run_as_program()
