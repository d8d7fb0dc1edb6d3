"""A DAG that holds the operators of a flow file where the flow's own DAG is not made."""

from __future__ import annotations

from typing import Any, NoReturn

from airflow.sdk import DAG, BaseOperator

from airflow_conda_flow.flow.inert_dag import InertValue, runs_nothing


class _AnyTask(BaseOperator):
    """Placeholder for a task of the flow, which other operators can be put before and after."""

    def __getattr__(self, name: str) -> Any:
        return _inert(name)


class _Tasks(dict[str, Any]):
    """Tasks of a DAG by their ids; whichever is asked for is there."""

    def __init__(self, dag: DAG) -> None:
        super().__init__()
        self._dag = dag

    def __missing__(self, task_id: str) -> Any:
        return _AnyTask(task_id=task_id, dag=self._dag)


class _ScratchDag(DAG):
    """DAG without the tasks of the flow; it accepts what the flow's own DAG accepts, and runs nothing."""

    def get_task(self, task_id: str, include_subdags: bool = False) -> Any:  # noqa: ARG002 - Airflow's signature
        return self.task_dict[task_id]

    def __getattr__(self, name: str) -> Any:
        return _inert(name)


def _inert(name: str) -> Any:
    if name.startswith("_"):  # Airflow looks whether there is such an attribute
        raise AttributeError(name)
    return InertValue()


def scratch_dag(dag_id: str, place: tuple[str, int] | None) -> DAG:
    """DAG for the operators that a flow file adds to ``MyFlow.dag()``, which take a real one alone.

    Args:
        dag_id: its id.
        place: file and line of ``dag()`` if the file runs as a program, where running the DAG is an error.
    """
    dag = _ScratchDag(dag_id, schedule=None)
    dag.task_dict = _Tasks(dag)
    if place is not None:

        def runs(name: str) -> Any:
            def run(*_arguments: Any, **_options: Any) -> NoReturn:
                runs_nothing(name, dag_id, place)

            return run

        dag.test, dag.cli = runs("test"), runs("cli")  # type: ignore[method-assign]
    return dag
