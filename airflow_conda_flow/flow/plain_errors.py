"""Shows our errors as one message where a flow file runs as a program; others as ever."""

import sys

from airflow_conda_flow.errors import CondaFlowError


def show_plainly() -> None:
    """From now on, an uncaught error of this package ends the program without a traceback."""
    if sys.excepthook is sys.__excepthook__:
        sys.excepthook = _show


def _show(error_type: object, error: object, traceback: object) -> None:
    if isinstance(error, CondaFlowError):
        sys.stderr.write("%s\n" % error)
    else:
        sys.__excepthook__(error_type, error, traceback)  # type: ignore[arg-type]
