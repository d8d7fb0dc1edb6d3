"""Name of the user who runs this process."""

import os


def username() -> str:
    """Name of the user who runs this process, from the variables that Metaflow reads."""
    for variable in ("METAFLOW_USER", "SUDO_USER", "USERNAME", "USER"):
        name = os.environ.get(variable)
        if name and name != "root":  # as in Metaflow: root names no person, so the next variable counts
            return name
    import getpass  # noqa: PLC0415 - seldom needed

    try:
        return getpass.getuser()
    except (ImportError, KeyError, OSError):
        return "unknown"
