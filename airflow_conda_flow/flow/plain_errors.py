"""Shows errors of this package without a traceback when a flow file runs as a program."""

import sys

from airflow_conda_flow.errors import CondaFlowError
from airflow_conda_flow.flow.long_words import readable


def show_plainly() -> None:
    """Make uncaught errors of this package end the program without a traceback; others are shown as usual."""
    if sys.excepthook is sys.__excepthook__:
        sys.excepthook = _show


def _show(error_type: object, error: object, traceback: object) -> None:
    if isinstance(error, CondaFlowError):
        sys.stderr.write("%s\n" % readable(str(error)))
    else:
        sys.__excepthook__(error_type, error, traceback)  # type: ignore[arg-type]
