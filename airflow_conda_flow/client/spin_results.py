"""``inspect_spin``: client access to the results of ``spin --persist``."""

import os

from airflow_conda_flow.client.scope import metadata
from airflow_conda_flow.errors import ObjectNotFound

_FOLDER = ".conda_flow_spin"  # as in local/spin.py, which a step environment does not have


def inspect_spin(datastore_root: str = ".") -> str:
    """Switch the client to the tasks that were spun in a directory; ``default_metadata()`` switches back.

    Returns the name of the datastore.

    Args:
        datastore_root: directory in which ``spin`` ran.

    Raises:
        ObjectNotFound: no task was spun there with ``--persist``.
    """
    folder = os.path.abspath(os.path.join(datastore_root, _FOLDER))
    if not os.path.isdir(folder):
        raise ObjectNotFound(
            "There is no %s. Name the directory in which 'python flow.py spin STEP --persist' ran." % folder
        )
    return metadata(folder)
