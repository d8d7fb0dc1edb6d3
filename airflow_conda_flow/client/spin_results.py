"""``inspect_spin``: let the client read what ``spin --persist`` left."""

import os

from airflow_conda_flow.client.scope import metadata
from airflow_conda_flow.errors import ObjectNotFound

_FOLDER = ".conda_flow_spin"


def inspect_spin(datastore_root: str = ".") -> str:
    """Read the tasks that were spun in a directory, from now on; ``default_metadata()`` goes back.

    Args:
        datastore_root: the directory in which ``spin`` ran.

    Raises:
        ObjectNotFound: none was.
    """
    folder = os.path.abspath(os.path.join(datastore_root, _FOLDER))
    if not os.path.isdir(folder):
        raise ObjectNotFound(
            "There is no %s. Name the directory in which 'python flow.py spin STEP --persist' ran." % folder
        )
    return metadata(folder)
