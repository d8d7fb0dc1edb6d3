"""``@airflow_s3_key_sensor`` and ``@airflow_external_task_sensor``: a DAG run waits before the flow starts.

``airflow/dag/sensors.py`` makes Airflow's own sensors of them. Runs on the command line do not wait.
"""

import re

from airflow_conda_flow.flow.decorators.attribute_values import (
    flag,
    list_of,
    normalise_attributes,
    one_of,
    text,
)
from airflow_conda_flow.flow.decorators.base import FlowDecorator, decorator_function, nearest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from datetime import timedelta
    from typing import Any

    from airflow_conda_flow.flow.decorators.attribute_values import Flag, Text, Texts
    from airflow_conda_flow.flow.decorators.base import FlowClass
    from airflow_conda_flow.flow.flow_draft import FlowDraft
    from airflow_conda_flow.flow.parameters.delayed_value import DelayedValue
    from airflow_conda_flow.records.graph import FlowGraph

    Seconds = float | timedelta | DelayedValue

# Airflow's rule for ids of tasks: airflow/sdk/definitions/_internal/node.py
_TASK_ID = re.compile(r"^[\w.-]{1,250}$", re.ASCII)
# https://airflow.apache.org/docs/apache-airflow/stable/core-concepts/tasks.html#task-instances
_TASK_STATES = (
    "success",
    "failed",
    "skipped",
    "upstream_failed",
    "removed",
    "scheduled",
    "queued",
    "running",
    "restarting",
    "up_for_retry",
    "up_for_reschedule",
    "deferred",
)
_DAG_STATES = ("success", "failed", "queued", "running")


def _seconds(value: "Any") -> float:
    """Seconds above 0, from a number or a ``timedelta``."""
    # Not isinstance: a step process that never looks at a timedelta need not import datetime.
    seconds = value.total_seconds() if hasattr(value, "total_seconds") else value
    if isinstance(seconds, bool) or not isinstance(seconds, (int, float)) or not 0 < seconds < float("inf"):
        raise ValueError(value)
    return seconds


def _difference(value: "Any") -> "Any":
    """``timedelta``, as it is."""
    if not hasattr(value, "total_seconds"):
        raise ValueError(value)
    return value


def _verification(value: "Any") -> "Any":
    return value if isinstance(value, bool) else text(value)


def _task_id(value: "Any") -> str:
    if not isinstance(value, str) or not _TASK_ID.match(value):
        raise ValueError(value)
    return value


_COMMON = {
    "timeout": (_seconds, "seconds above 0"),
    "poke_interval": (_seconds, "seconds above 0"),
    "mode": (one_of("poke", "reschedule"), "'poke' or 'reschedule', or leave it out"),
    "exponential_backoff": (flag, "True or False"),
    "pool": (text, "the name of a pool"),
    "soft_fail": (flag, "True or False"),
    "name": (_task_id, "the id of a task: letters, digits, _, . and -, up to 250 of them"),
    "description": (text, "a text"),
}


class SensorDecorator(FlowDecorator):
    """Base of the sensors. A flow may have several; it starts when all of them have found what they wait for.

    Args:
        timeout: seconds after which the sensor gives up and the run fails.
        poke_interval: seconds between two looks.
        mode: ``poke`` keeps a worker while it waits, ``reschedule`` looks from a worker now and then. None
            waits in Airflow's triggerer.
        exponential_backoff: look less often the longer it takes; only with ``mode``.
        pool: Airflow pool of the task.
        soft_fail: skip the run rather than fail it if the sensor gives up.
        name: id of the task; by default made from the decorator's name.
        description: shown with the task in Airflow's UI.

    Attributes:
        task_name: id of the task if ``name`` is not given; a further sensor gets a number behind it.
    """

    allow_many = True
    defaults: "dict[str, Any]" = {
        "timeout": 3600,
        "poke_interval": 60,
        "mode": None,
        "exponential_backoff": True,
        "pool": None,
        "soft_fail": False,
        "name": None,
        "description": None,
    }
    task_name = ""

    def check_in_flow(self, step: "str | None", graph: "FlowGraph", draft: "FlowDraft") -> None:
        """Raise if the name is that of a step or of another sensor."""
        del step
        name = self.attributes["name"]
        if name in graph.steps:
            self.fail("@%s: name is %r, which is a step of %s. Rename it." % (self.name, name, graph.name))
        named = [each for each in draft.flow_decorators if isinstance(each, SensorDecorator)]
        if name is not None and [each.attributes["name"] for each in named].count(name) > 1:
            self.fail("@%s: another sensor has the name %r too. Rename one." % (self.name, name))

    def _require(self, attribute: str, example: str) -> None:
        if self.attributes[attribute] is None:
            self.fail("@%s needs %s, such as %s=%s." % (self.name, attribute, attribute, example))


class S3KeySensorDecorator(SensorDecorator):
    """Wait for objects in S3 before a DAG run of the flow starts; see ``SensorDecorator``.

    Args:
        bucket_key: an ``s3://bucket/key``, or a key of ``bucket_name``; or a list, to wait for all.
        bucket_name: the bucket, if ``bucket_key`` does not name it.
        wildcard_match: take ``*``, ``?`` and ``[...]`` in ``bucket_key`` as a pattern.
        aws_conn_id: Airflow connection to AWS; Airflow's default if None.
        verify: False to not verify certificates, or the path of a bundle of certificates.
    """

    name = "airflow_s3_key_sensor"
    task_name = "s3_key_sensor"
    defaults: "dict[str, Any]" = dict(
        SensorDecorator.defaults,
        bucket_key=None,
        bucket_name=None,
        wildcard_match=False,
        aws_conn_id=None,
        verify=None,
    )

    def check(self) -> None:
        """Raise unless each key has exactly one bucket."""
        normalise_attributes(
            self,
            dict(
                _COMMON,
                bucket_key=(list_of(text), "a key, or a list of keys"),
                bucket_name=(text, "the name of a bucket"),
                wildcard_match=(flag, "True or False"),
                aws_conn_id=(text, "the id of a connection"),
                verify=(_verification, "True, False or a path"),
            ),
        )
        self._require("bucket_key", '"s3://bucket/key"')
        if not self.attributes["bucket_key"]:
            self.fail("@%s: bucket_key is empty; name at least one key." % self.name)
        bucket = self.attributes["bucket_name"]
        for key in self.attributes["bucket_key"]:
            if "{{" in key:  # Airflow fills it in when the task runs
                continue
            has_bucket = key.startswith("s3://")
            if has_bucket and bucket is not None:
                self.fail(
                    "@%s: bucket_key %r names its bucket; leave out bucket_name=%r."
                    % (self.name, key, bucket)
                )
            if has_bucket and not all(key[len("s3://") :].partition("/")[::2]):
                self.fail("@%s: bucket_key is %r; write s3://bucket/key." % (self.name, key))
            if not has_bucket and bucket is None:
                self.fail("@%s: no bucket for %r; write s3://bucket/key, or bucket_name." % (self.name, key))


class ExternalTaskSensorDecorator(SensorDecorator):
    """Wait for a run of another DAG with the same logical date; see ``SensorDecorator``.

    Args:
        external_dag_id: id of the other DAG.
        external_task_ids: ids of its tasks to wait for; the whole DAG run if None.
        allowed_states: states to wait for.
        failed_states: states in which the sensor fails at once.
        execution_delta: ``timedelta`` by which the other run's logical date is earlier.
        check_existence: accepted for compatibility; Airflow 3 does not look whether the DAG exists.
    """

    name = "airflow_external_task_sensor"
    task_name = "external_task_sensor"
    defaults: "dict[str, Any]" = dict(
        SensorDecorator.defaults,
        external_dag_id=None,
        external_task_ids=None,
        allowed_states=["success"],
        failed_states=None,
        execution_delta=None,
        check_existence=True,
    )

    def check(self) -> None:
        """Raise unless there is a DAG to wait for, and the states are Airflow's."""
        states = (list_of(text), "a list of states")
        normalise_attributes(
            self,
            dict(
                _COMMON,
                external_dag_id=(text, "the id of a DAG"),
                external_task_ids=(list_of(text), "a list of ids of tasks"),
                allowed_states=states,
                failed_states=states,
                execution_delta=(_difference, "a timedelta, such as timedelta(days=1)"),
                check_existence=(flag, "True or False"),
            ),
        )
        self._require("external_dag_id", '"a_dag"')
        tasks = self.attributes["external_task_ids"] or []
        for task in tasks:
            if tasks.count(task) > 1:
                self.fail("@%s names the task %r twice; keep one." % (self.name, task))
        allowed = self.attributes["allowed_states"] or ["success"]
        failed = self.attributes["failed_states"] or []
        self.attributes.update(allowed_states=allowed, failed_states=failed)
        known = _TASK_STATES if tasks else _DAG_STATES
        for state in allowed + failed:
            if state not in known:
                self.fail(
                    "@%s: %r is not a state of a %s.%s There is: %s."
                    % (
                        self.name,
                        state,
                        "task" if tasks else "DAG run",
                        nearest(state, known),
                        ", ".join(known),
                    )
                )
            if (allowed + failed).count(state) > 1:
                self.fail("@%s names the state %r twice; keep one." % (self.name, state))


if TYPE_CHECKING:

    def airflow_s3_key_sensor(
        __flow_class: "FlowClass | None" = None,
        *,
        bucket_key: "Texts",
        bucket_name: "Text" = None,
        wildcard_match: "Flag" = False,
        aws_conn_id: "Text" = None,
        verify: "Flag | str" = None,
        timeout: "Seconds" = 3600,
        poke_interval: "Seconds" = 60,
        mode: "Text" = None,
        exponential_backoff: "Flag" = True,
        pool: "Text" = None,
        soft_fail: "Flag" = False,
        name: "Text" = None,
        description: "Text" = None,
    ) -> "FlowClass":
        """Wait for objects in S3 before a DAG run of the flow starts; see ``S3KeySensorDecorator``."""

    def airflow_external_task_sensor(
        __flow_class: "FlowClass | None" = None,
        *,
        external_dag_id: "str | DelayedValue",
        external_task_ids: "Texts" = None,
        allowed_states: "Texts" = ...,
        failed_states: "Texts" = None,
        execution_delta: "timedelta | DelayedValue | None" = None,
        check_existence: "Flag" = True,
        timeout: "Seconds" = 3600,
        poke_interval: "Seconds" = 60,
        mode: "Text" = None,
        exponential_backoff: "Flag" = True,
        pool: "Text" = None,
        soft_fail: "Flag" = False,
        name: "Text" = None,
        description: "Text" = None,
    ) -> "FlowClass":
        """Wait for another DAG before a DAG run of the flow starts; see ``ExternalTaskSensorDecorator``."""

else:
    airflow_s3_key_sensor = decorator_function(S3KeySensorDecorator)
    airflow_external_task_sensor = decorator_function(ExternalTaskSensorDecorator)
