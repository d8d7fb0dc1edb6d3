"""``Deployer``: says where deploying went."""

from __future__ import annotations

from typing import Any, NoReturn

from airflow_conda_flow.errors import LaunchError


class Deployer:
    """Metaflow's way of sending a flow to an orchestrator, which a flow file that is a DAG needs not."""

    def __new__(cls, flow_file: str = "flow.py", *_positional: Any, **_keywords: Any) -> NoReturn:
        """Raise the ``LaunchError`` that says what to do."""
        raise LaunchError(
            f"Deployer({flow_file!r}): nothing is deployed, for the flow file itself is the DAG. End it with "
            "`dag = MyFlow.dag(schedule=...)`, put it into Airflow's dags folder, and trigger it there: in "
            "the UI, with `airflow dags trigger`, or through Airflow's REST API."
        )
