"""Lookup of runs by the ids of their DAG runs, as Airflow shows them."""

from airflow_conda_flow.errors import ObjectNotFound
from airflow_conda_flow.flow.current_run import current
from airflow_conda_flow.records.dag_names import run_ids_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable


def run_id_of(flow: str, dag_run_id: str, run_ids: "Iterable[str]") -> "str | None":
    """Id of the run that belongs to a DAG run; None if there is none.

    Args:
        flow: name of the flow.
        dag_run_id: DAG run id as Airflow shows it, such as ``manual__2026-11-24T02:00:00+00:00``.
        run_ids: ids of the flow's runs.

    Raises:
        ObjectNotFound: several DAGs have a run with this id.
    """
    if (flow, dag_run_id) == (current.flow_name, current.dag_run_id):
        return current.run_id
    found = run_ids_of(dag_run_id, run_ids)
    if len(found) > 1:
        raise ObjectNotFound(
            "%r matches several runs: %s. Write one of these ids." % (dag_run_id, ", ".join(found))
        )
    return found[0] if found else None
