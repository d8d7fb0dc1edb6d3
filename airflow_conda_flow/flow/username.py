"""Who runs this process."""

import os


def username() -> str:
    """Who runs this process, as Metaflow's users name themselves."""
    for variable in ("METAFLOW_USER", "SUDO_USER", "USERNAME", "USER"):
        name = os.environ.get(variable)
        if name and name != "root":
            return name
    import getpass  # noqa: PLC0415 - seldom needed

    try:
        return getpass.getuser()
    except (ImportError, KeyError, OSError):
        return "unknown"
