"""Airflow's sensors of ``@airflow_s3_key_sensor`` and ``@airflow_external_task_sensor``."""

from __future__ import annotations

import importlib.util
import itertools
from collections.abc import Container, Iterable, Sequence
from typing import Any

from airflow.sdk import DAG

from airflow_conda_flow.flow.decorators.airflow_sensors import S3KeySensorDecorator, SensorDecorator
from airflow_conda_flow.flow.requirements import missing_requirement
from airflow_conda_flow.settings.loading import Settings


def make_sensors(
    decorators: Sequence[SensorDecorator], dag: DAG, settings: Settings, steps: Iterable[str]
) -> list[Any]:
    """Sensors of a flow, in the order of the decorators.

    Args:
        decorators: those of the flow.
        dag: the DAG that they become tasks of.
        settings: the setting ``deferrable`` says whether a sensor without ``mode`` may be deferred.
        steps: ids that sensors without a name must not take.

    Raises:
        FlowDefinitionError: Airflow refuses a value; names the decorator's line.
        MissingRequirement: the provider of the sensor is not installed.
    """
    # ``auto`` defers too: only a running task can ask Airflow for its triggerer, and a sensor that waits for
    # a triggerer which is not there ends with its timeout, as any other.
    may_defer = settings.texts["deferrable"].text != "false"
    taken = {*steps, *(each.attributes["name"] for each in decorators)}
    sensors = []
    for each in decorators:
        task_id = each.attributes["name"] or _free_id(each.task_name, taken)
        taken.add(task_id)
        sensors.append(_sensor(each, task_id, dag, may_defer=may_defer))
    return sensors


def _free_id(wanted: str, taken: Container[str]) -> str:
    numbered = (f"{wanted}_{number}" for number in itertools.count(2))
    return next(each for each in itertools.chain([wanted], numbered) if each not in taken)


def _sensor(decorator: SensorDecorator, task_id: str, dag: DAG, *, may_defer: bool) -> Any:
    keywords = {name: value for name, value in decorator.attributes.items() if value is not None}
    keywords.pop("name", None)
    is_deferred = may_defer and "mode" not in keywords and _can_defer(decorator)
    keywords.setdefault("mode", "reschedule")
    try:
        return _class_of(decorator)(
            task_id=task_id,
            dag=dag,
            doc_md=keywords.pop("description", None),
            deferrable=is_deferred,
            **keywords,
        )
    except (TypeError, ValueError) as error:
        decorator.fail(f"@{decorator.name}: {error}")


def _can_defer(decorator: SensorDecorator) -> bool:
    """True if the triggerer can wait in place of the sensor's task, as far as can be seen here."""
    if isinstance(decorator, S3KeySensorDecorator):
        # Airflow's trigger uses it, and Amazon's provider does not require it: it is one of its extras.
        return importlib.util.find_spec("aiobotocore") is not None
    return True


def _class_of(decorator: SensorDecorator) -> Any:
    try:
        if isinstance(decorator, S3KeySensorDecorator):
            from airflow.providers.amazon.aws.sensors.s3 import S3KeySensor  # noqa: PLC0415 - slow

            return S3KeySensor
        from airflow.providers.standard.sensors.external_task import (  # noqa: PLC0415 - slow
            ExternalTaskSensor,
        )
    except ImportError as error:
        raise missing_requirement(error, f"@{decorator.name}") from error
    return ExternalTaskSensor
