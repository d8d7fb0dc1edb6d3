"""Metaflow's commands and options that this package does not have, with their replacements."""

from __future__ import annotations

_DAG = "the file itself is the DAG: end it with dag = MyFlow.dag(...) and put it into Airflow's dags folder"
_INNER = "it is a part of how Metaflow runs tasks"
_CODE = "in Python, Run('FLOW/RUN_ID').code.extract() gives the directory with a run's code"

COMMANDS = {
    "airflow": _DAG,
    "argo-workflows": _DAG,
    "step-functions": _DAG,
    "spot-metadata": _INNER,
    "init": _INNER,
    "step": f"{_INNER}; to run a single step, write 'spin'",
    "card create": "@card makes cards while a step runs. For one more of a past task write "
    "'--with card:type=TYPE spin RUN_ID/STEP/TASK_ID', and then "
    "'--datastore-root .conda_flow_spin card view STEP'",
    "code": _CODE,
    "configure": "settings are CONDA_FLOW_... environment variables; see the README",
    "develop": "type hints are in the package itself, so there are no stubs to install",
    "status": "in Python, list(Metaflow()) gives the flows that have runs",
    "tutorials": "there are flows to begin with in the folder dags/ of the sources",
}
"""Replacements by command."""

OPTIONS = {
    "--authorize": _DAG,
    "--mode": "write the command 'spin'",
}
"""Replacements by option."""

ENVIRONMENTS = {
    "uv": "write conda, and @pypi or @conda(file=...) with the libraries of each step",
    "fast-bakery": "write conda; environments are packed once, and come to containers as one archive",
    "docker": "write @kubernetes(image=...) or @batch(image=...)",
}
"""Replacements by value of ``--environment``."""


def refused_command(command: str, word: str) -> str:
    """Hint for a command of Metaflow's, with a space in front; the empty string for any other word.

    >>> refused_command("card", "crate"), refused_command("", "init")
    ('', " Metaflow's init is not here: it is a part of how Metaflow runs tasks.")
    """
    name = f"{command} {word}".strip()
    return f" Metaflow's {name} is not here: {COMMANDS[name]}." if name in COMMANDS else ""


def refused_option(word: str) -> str:
    """Hint for an option of Metaflow's, with a space in front; the empty string for any other word.

    >>> refused_option("--mode=spin")
    " Metaflow's --mode is not here: write the command 'spin'."
    """
    name = word.split("=", maxsplit=1)[0]
    return f" Metaflow's {name} is not here: {OPTIONS[name]}." if name in OPTIONS else ""
