"""One line for people about something that this package has put right by itself."""

from __future__ import annotations

import logging

from .terminal_row import room_for_lines


def warn(text: str) -> None:
    """Log the text as a warning: Airflow shows it in the task's log, a command prints it to stderr."""
    with room_for_lines():
        logging.getLogger("airflow_conda_flow").warning(text)
