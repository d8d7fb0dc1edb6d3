"""``kubernetes``: list or end a flow's unfinished pods, such as those that a killed run left behind."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from functools import partial

from airflow_conda_flow.cli.parser import FlowArgumentParser
from airflow_conda_flow.cli.unfinished import Unfinished, add_unfinished_actions
from airflow_conda_flow.flow.definition import FlowDefinition
from airflow_conda_flow.settings.loading import Settings

NAME = "kubernetes"
HELP = "Pods of the flow that have not ended."
COMMON: tuple[str, ...] = ()
_ENDED = ("Succeeded", "Failed")


def add_arguments(parser: argparse.ArgumentParser, definition: FlowDefinition) -> None:
    """Add the subcommands."""
    del definition
    add_unfinished_actions(parser, "pods", _pods)


def execute(arguments: argparse.Namespace, definition: FlowDefinition) -> int:
    """Report a missing subcommand; argparse does so first, as a subcommand is required."""
    del definition
    parser: FlowArgumentParser = arguments.command_parser
    parser.error("write list or kill")


def _pods(settings: Settings, definition: FlowDefinition) -> Iterator[Unfinished]:
    """Unfinished pods of the flow, in the namespaces that the settings and its decorators name.

    Raises:
        SettingError: no cluster is configured.
        ComputeUnavailable: the cluster cannot be reached.
    """
    # Imported late: these load the kubernetes client, and no other command needs them.
    from airflow_conda_flow.compute.kubernetes.cluster import connect  # noqa: PLC0415
    from airflow_conda_flow.compute.kubernetes.spec import LABEL, label_value  # noqa: PLC0415

    cluster = connect(settings.texts["kubernetes_context"].text)
    own = ((step.get("kubernetes") or {}).get("namespace") for step in definition.decorators.values())
    usual = settings.texts["kubernetes_namespace"].text or cluster.namespace
    for namespace in sorted({usual, *filter(None, own)}):
        for pod in cluster.find_pods(namespace, {f"{LABEL}flow": label_value(definition.name)}):
            task = (pod.metadata.annotations or {}).get(f"{LABEL}task", "")
            # The annotation has the exact name of the attempt; labels are shortened to 63 characters.
            if pod.status.phase not in _ENDED and task:
                yield Unfinished(
                    run_id=task.split("/")[1],
                    task=task,
                    name=f"{namespace}/{pod.metadata.name}",
                    state=pod.status.phase,
                    end=partial(cluster.delete_pod, pod.metadata.name, namespace),
                )
