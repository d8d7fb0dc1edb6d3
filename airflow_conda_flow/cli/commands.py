"""Commands of a flow file, each of which imports its module when it is given on the command line."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from airflow_conda_flow.flow.places import Place, places


@dataclass(frozen=True)
class Command:
    """A command of a flow file.

    Attributes:
        name: word on the command line.
        help: one sentence.
        load: imports and returns what has ``COMMON``, ``add_arguments`` and ``execute``; most often a module.
    """

    name: str
    help: str
    load: Callable[[], Any]


def _command(name: str, help: str) -> Command:  # noqa: A002 - as argparse calls it
    """Command whose module has its name."""
    return Command(name, help, partial(importlib.import_module, f"{__package__}.{name.replace('-', '_')}"))


def _unfinished(place: Place) -> Command:
    """Command of a place that can find unfinished pods or jobs."""

    def load() -> Any:
        from airflow_conda_flow.cli.unfinished import UnfinishedCommand  # noqa: PLC0415 - as all commands

        return UnfinishedCommand(place)

    return Command(place.name, f"{place.things.capitalize()} of the flow that have not ended.", load)


# ``--help`` lists them in this order: the most used ones first.
COMMANDS = (
    _command("run", "Run the flow on this machine."),
    _command("resume", "Resume execution of a previous run of this flow."),
    _command("spin", "Run one step with the inputs of a past run; no run changes."),
    _command("show", "Show the steps of the flow."),
    _command("check", "Check the flow and run nothing."),
    _command("dump", "Get data artifacts of a task or all tasks in a step."),
    _command("logs", "Show or scrub stdout and stderr of a task or all tasks in a step."),
    _command("tag", "Commands related to tagging."),
    _command("card", "Commands related to the cards of tasks."),
    _command("package", "Commands related to code packages."),
    _command("environment", "Commands related to the environments of steps."),
    *(_unfinished(place) for place in places() if place.unfinished is not None),
    _command("output-dot", "Visualize the flow with Graphviz."),
    _command("output-raw", "Print the graph of the flow as JSON."),
    _command("completion", "Print a script that completes this flow's commands and options in a shell."),
    _command("help", "Show all available commands."),
    _command("version", "Print the version of airflow-conda-flow."),
)
