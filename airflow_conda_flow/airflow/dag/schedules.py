"""Schedules of DAGs: the clock, and assets that are updated by events and by finished flows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from airflow.sdk import Asset, AssetAll

from airflow_conda_flow.airflow.sdk import AssetOrTimeSchedule, CronTriggerTimetable
from airflow_conda_flow.flow.definition import FlowDefinition
from airflow_conda_flow.flow.trigger_events import finished_name


def schedule_of(definition: FlowDefinition) -> Any:
    """Airflow's ``schedule`` for the flow's decorators; None if the flow has no such decorator."""
    clock = definition.flow_decorators.get("schedule")
    triggers = definition.triggers
    assets = [Asset(each["name"]) for each in triggers.get("trigger", ())]
    own = _prefix(definition)
    assets += [
        finished_asset(flow["name"], own if flow["prefix"] is None else flow["prefix"])
        for flow in triggers.get("trigger_on_finish", ())
    ]
    assets = list({each.name: each for each in assets}.values())  # a flow may be named in full and in short
    if clock is None:
        return assets or None
    if clock["timezone"] is None and not assets:
        return clock["cron"]
    timetable = CronTriggerTimetable(clock["cron"], timezone=clock["timezone"] or "UTC")
    return AssetOrTimeSchedule(timetable=timetable, assets=AssetAll(*assets)) if assets else timetable


def finished_asset(flow: str, prefix: str) -> Asset:
    """Asset that a run of a flow updates when it has finished.

    Args:
        flow: the flow's name.
        prefix: the flow's ``project.branch``; empty without ``@project``.
    """
    return Asset(finished_name(flow, prefix))


def own_asset(definition: FlowDefinition) -> Asset:
    """Asset that a run of the flow updates when it has finished."""
    return finished_asset(definition.name, _prefix(definition))


def _prefix(definition: FlowDefinition) -> str:
    project = definition.project
    return f"{project['project_name']}.{project['branch_name']}" if project else ""


def event_parameters(definition: FlowDefinition, events: Mapping[Any, Iterable[Any]]) -> dict[str, Any]:
    """Values of parameters, by name, that come from the events which started a run.

    If several events of one asset give a value, the last one counts.

    Args:
        definition: the flow.
        events: Airflow's ``triggering_asset_events``.
    """
    extras: dict[str, dict[str, Any]] = {}
    for asset, happened in events.items():
        for event in happened:
            extras.setdefault(getattr(asset, "name", str(asset)), {}).update(event.extra or {})
    return {
        parameter: extras[event["name"]][entry]
        for event in definition.triggers.get("trigger", ())
        for parameter, entry in event["parameters"].items()
        if entry in extras.get(event["name"], {})
    }
