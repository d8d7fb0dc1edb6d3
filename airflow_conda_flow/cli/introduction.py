"""The lines that a flow file prints when it is given no command."""

from __future__ import annotations

from airflow_conda_flow._version import __version__
from airflow_conda_flow.flow.definition import FlowDefinition
from airflow_conda_flow.flow.username import username


def introduce(definition: FlowDefinition) -> int:
    """Print that the flow is valid and which commands to try; used when no command is given."""
    print(f"airflow-conda-flow {__version__} executing {definition.name} for user:{username()}")
    print("Validating your flow...")
    print("    The graph looks good!")
    print()
    commands = {
        definition.command("show"): "shows a description of this flow.",
        definition.command("run"): "runs the flow locally.",
        definition.command("help"): "shows all available commands and options.",
    }
    width = max(map(len, commands))
    for command, text in commands.items():
        print(f"{command:{width}}  {text}")
    return 0
