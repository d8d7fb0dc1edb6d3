"""Values that the runner itself stores as artifacts: parameters, constants, caught failures."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from airflow_conda_flow.runtime import pickling

if TYPE_CHECKING:
    from airflow_conda_flow.datastore.datastore import Datastore
    from airflow_conda_flow.records.shapes import ArtifactRef


def store_values(datastore: Datastore, values: Mapping[str, Any], protocol: int) -> dict[str, ArtifactRef]:
    """Store values as artifacts and return a reference to each by name.

    Args:
        datastore: where the artifacts are stored.
        values: the values by name.
        protocol: the pickle protocol; every later step must be able to read it.

    Raises:
        DatastoreError: an artifact cannot be written.
        Exception: raised by pickle for a value that cannot be pickled.
    """
    scratch = datastore.artifacts.scratch_dir()
    refs: dict[str, ArtifactRef] = {}
    try:
        for number, (name, value) in enumerate(values.items()):
            path = scratch / str(number)  # numbered, because a name may hold any character
            refs[name] = pickling.dump_to_file(value, str(path), protocol)
            datastore.artifacts.publish(path, refs[name]["sha256"])
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return refs
