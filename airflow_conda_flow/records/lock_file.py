"""Name of the lock file of a flow: the file beside it that pins the packages of its environments."""

import os


def lock_file_of(flow_file: str) -> str:
    """Path of a flow file's lock file, which need not exist.

    >>> lock_file_of("dags/train_flow.py")
    'dags/train_flow.lock'
    """
    return os.path.splitext(flow_file)[0] + ".lock"
