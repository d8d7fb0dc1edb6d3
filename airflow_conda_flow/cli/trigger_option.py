"""``--trigger``: sets ``current.trigger``, to try ``@trigger_on_finish`` on the command line."""

from __future__ import annotations

import argparse

from airflow_conda_flow.flow.definition import FlowDefinition


def add_trigger_option(
    parser: argparse.ArgumentParser, definition: FlowDefinition, *, inherited: bool
) -> None:
    """Add the option if the flow has ``@trigger_on_finish``.

    Args:
        parser: parser of the flow file or of one command.
        definition: the flow.
        inherited: keep values that were given before the command.
    """
    if not definition.has_finish_trigger:
        return
    parser.add_argument(
        "--trigger",
        action="append",
        default=argparse.SUPPRESS if inherited else [],
        metavar="FLOW/RUN_ID",
        help="a finished run that counts as the trigger of this one; may be given again",
    )
