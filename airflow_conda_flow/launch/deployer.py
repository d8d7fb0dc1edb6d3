"""``Deployer``: a stand-in for Metaflow's, with an error that explains what to do instead."""

from __future__ import annotations

from typing import Any, NoReturn

from airflow_conda_flow.errors import LaunchError


class Deployer:
    """Stand-in for Metaflow's ``Deployer``. Nothing is deployed, because the flow file itself is the DAG."""

    def __new__(cls, flow_file: str = "flow.py", *_positional: Any, **_keywords: Any) -> NoReturn:
        """Raise an error that explains how to get the flow into Airflow.

        Raises:
            LaunchError: always.
        """
        raise LaunchError(
            f"Deployer({flow_file!r}): nothing is deployed, for the flow file itself is the DAG. End it with "
            "`dag = MyFlow.dag(schedule=...)`, put it into Airflow's dags folder, and trigger it there: in "
            "the UI, with `airflow dags trigger`, or through Airflow's REST API."
        )
