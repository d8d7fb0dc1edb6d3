"""``kubernetes``: list or end the pods of a flow that go on, such as those of a run that was killed."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Collection, Iterator
from typing import TYPE_CHECKING, Any

from airflow_conda_flow.cli.actions import Action, add_actions
from airflow_conda_flow.cli.parser import FlowArgumentParser, chosen_settings, given_decorators
from airflow_conda_flow.cli.past_runs import open_catalogue, run_of
from airflow_conda_flow.datastore.catalogue import RunCatalogue
from airflow_conda_flow.errors import ObjectNotFound
from airflow_conda_flow.flow.definition import FlowDefinition
from airflow_conda_flow.flow.username import username

NAME = "kubernetes"
HELP = "Pods of the flow that have not ended."
if TYPE_CHECKING:
    from airflow_conda_flow.compute.kubernetes_cluster import Cluster

_TASK = "airflow-conda-flow/task"
_ENDED = ("Succeeded", "Failed")


def add_arguments(parser: argparse.ArgumentParser, definition: FlowDefinition) -> None:
    """Add the commands."""
    del definition
    add_actions(
        parser,
        [
            Action("list", "List the pods of the latest run that have not ended.", _add_runs, _list),
            Action("kill", "End the pods of the latest run that have not ended.", _add_runs, _kill),
        ],
    )


def execute(arguments: argparse.Namespace, definition: FlowDefinition) -> int:
    """Never called: one of the commands is."""
    del definition
    parser: FlowArgumentParser = arguments.command_parser
    parser.error("write list or kill")


def _add_runs(parser: argparse.ArgumentParser) -> None:
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--run-id", metavar="ID", help="those of another run")
    which.add_argument("--my-runs", action="store_true", help="those of all your runs")
    which.add_argument("--user", metavar="NAME", help="those of all runs of a user")


def _list(arguments: argparse.Namespace, definition: FlowDefinition) -> int:
    return _each(arguments, definition, lambda _cluster, pod: str(pod.status.phase))


def _kill(arguments: argparse.Namespace, definition: FlowDefinition) -> int:
    def end(cluster: Cluster, pod: Any) -> str:
        cluster.delete_pod(pod.metadata.name, pod.metadata.namespace)
        return "told to end"

    return _each(arguments, definition, end)


def _each(
    arguments: argparse.Namespace, definition: FlowDefinition, act: Callable[[Cluster, Any], str]
) -> int:
    """Print a line for each pod, with what ``act`` gives."""
    found = False
    for cluster, pod in _pods(arguments, definition):
        found = True
        print(f"{_task(pod)}  {pod.metadata.namespace}/{pod.metadata.name}  {act(cluster, pod)}")
    if not found:
        sys.stderr.write("There is no such pod.\n")
    return 0


def _pods(arguments: argparse.Namespace, definition: FlowDefinition) -> Iterator[tuple[Cluster, Any]]:
    """The pods that have not ended of the runs that the options name.

    Raises:
        ObjectNotFound: there is no such run.
        SettingError: no cluster is configured.
        ComputeUnavailable: the cluster cannot be asked.
    """
    # No other command needs them.
    from airflow_conda_flow.compute.kubernetes_cluster import connect  # noqa: PLC0415
    from airflow_conda_flow.compute.pod_spec import LABEL, label_value  # noqa: PLC0415

    settings = chosen_settings(arguments)
    definition.attach(given_decorators(arguments))
    catalogue = open_catalogue(settings)
    run_ids = _run_ids(arguments, definition.name, catalogue)
    cluster = connect(settings.texts["kubernetes_context"].text)
    own = ((step.get("kubernetes") or {}).get("namespace") for step in definition.decorators.values())
    usual = settings.texts["kubernetes_namespace"].text or cluster.namespace
    labels = {f"{LABEL}flow": label_value(definition.name)}
    for namespace in sorted({usual, *filter(None, own)}):
        for pod in cluster.find_pods(namespace, labels):
            if pod.status.phase not in _ENDED and _task(pod).split("/")[1] in run_ids:
                yield cluster, pod


def _run_ids(arguments: argparse.Namespace, flow: str, catalogue: RunCatalogue) -> Collection[str]:
    if arguments.run_id is not None:
        return [run_of(catalogue, flow, arguments.run_id)["run_id"]]
    known = catalogue.run_ids(flow)
    if not known:
        raise ObjectNotFound(f"There is no run of {flow} in {catalogue.describe()}.")
    if not arguments.my_runs and arguments.user is None:
        return known[:1]
    tag = f"user:{arguments.user or username()}"
    return {run["run_id"] for run in catalogue.runs(flow, known) if run and tag in run["system_tags"]}


def _task(pod: Any) -> str:
    """``flow/run/step/task/attempt`` of a pod."""
    return str((pod.metadata.annotations or {}).get(_TASK, "///"))
