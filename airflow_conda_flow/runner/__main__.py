"""``python -m airflow_conda_flow.runner``: what a container starts."""

from airflow_conda_flow.runner.command import run_as_program

if __name__ == "__main__":
    run_as_program()
