"""``@airflow_task``: how Airflow's scheduler treats the task of a step."""

from airflow_conda_flow.flow.constants import is_plain
from airflow_conda_flow.flow.decorators.attribute_values import flag, normalise_attributes, one_of, text
from airflow_conda_flow.flow.decorators.base import StepDecorator, decorator_function

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from airflow_conda_flow.flow.decorators.attribute_values import Fields, Flag, Normalise, Text, Whole
    from airflow_conda_flow.flow.decorators.base import Method


def _whole(value: "Any") -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError(value)  # noqa: TRY004 - as every normaliser does
    return value


def _at_least_one(value: "Any") -> int:
    if _whole(value) < 1:
        raise ValueError(value)
    return _whole(value)


def _executor_config(value: "Any") -> "dict[str, Any]":
    if not isinstance(value, dict) or not is_plain(value):
        raise ValueError(value)
    return value


_NUMBER = (_at_least_one, "a whole number, 1 at least")
_KINDS: "dict[str, tuple[Normalise, str]]" = {
    "pool": (text, "the name of a pool"),
    "pool_slots": _NUMBER,
    "priority_weight": (_whole, "a whole number"),
    "weight_rule": (one_of("downstream", "upstream", "absolute"), "'downstream', 'upstream' or 'absolute'"),
    "queue": (text, "the name of a queue"),
    "executor": (text, "the name of an executor that Airflow is configured with"),
    "executor_config": (_executor_config, "a dict of texts, numbers, lists and dicts"),
    "max_active_tis_per_dag": _NUMBER,
    "max_active_tis_per_dagrun": _NUMBER,
    "depends_on_past": (flag, "True or False"),
    "wait_for_downstream": (flag, "True or False"),
    "owner": (text, "a name"),
}


class AirflowTaskDecorator(StepDecorator):
    """Give arguments of Airflow's ``BaseOperator`` to the task of a step; elsewhere it has no effect.

    https://airflow.apache.org/docs/apache-airflow/stable/core-concepts/tasks.html says what they do. What is
    not given is as in the DAG's ``default_args``.

    Args:
        pool: name of the pool whose slots the task takes.
        pool_slots: number of its slots.
        priority_weight: priority of the task among those that wait for a slot.
        weight_rule: which tasks' weights count for it: ``downstream``, ``upstream`` or ``absolute``.
        queue: queue of the workers that may run it.
        executor: executor that runs it, where Airflow has several.
        executor_config: what the executor is given, such as ``{"pod_template_file": "/path"}``.
        max_active_tis_per_dag: how many tasks of the step run at once, in all runs of the DAG.
        max_active_tis_per_dagrun: how many tasks of the step run at once in one run.
        depends_on_past: whether it waits until the step of the previous run was successful.
        wait_for_downstream: whether it waits for the tasks right after the step of the previous run too.
        owner: who is named as its owner.
    """

    name = "airflow_task"
    defaults: "dict[str, Any]" = dict.fromkeys(_KINDS)

    def check(self) -> None:
        """Raise unless each attribute has a value of its kind."""
        normalise_attributes(self, _KINDS)


if TYPE_CHECKING:

    def airflow_task(
        __method: "Method | None" = None,
        *,
        pool: "Text" = None,
        pool_slots: "Whole" = None,
        priority_weight: "Whole" = None,
        weight_rule: "Text" = None,
        queue: "Text" = None,
        executor: "Text" = None,
        executor_config: "Fields" = None,
        max_active_tis_per_dag: "Whole" = None,
        max_active_tis_per_dagrun: "Whole" = None,
        depends_on_past: "Flag" = None,
        wait_for_downstream: "Flag" = None,
        owner: "Text" = None,
    ) -> "Method":
        """Give arguments to Airflow's task of a step; see ``AirflowTaskDecorator``."""

else:
    airflow_task = decorator_function(AirflowTaskDecorator)
