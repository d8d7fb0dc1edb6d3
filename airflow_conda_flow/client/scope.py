"""Scope of the client: the datastore that it reads and the namespace that it shows.

Both apply to the whole process. A step reads the datastore of its own run through its runner, because
a step environment contains no storage libraries.
"""

import sys

from airflow_conda_flow.errors import ClientError, SettingError
from airflow_conda_flow.flow.current_run import current
from airflow_conda_flow.flow.late_bindings import bound
from airflow_conda_flow.flow.username import username
from airflow_conda_flow.runtime import protocol

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Protocol

    class Catalogue(Protocol):
        """Interface for questions about runs; the methods to call are those of ``datastore/catalogue.py``."""

        def call(self, name: str, arguments: "list[Any]") -> "Any":
            """Result of the method with this name."""


_DEFAULT = "the default"  # a marker, because None already means all runs
_selected: "dict[str, str | None]" = {"namespace": _DEFAULT, "metadata": None}
_open: "dict[str | None, Catalogue]" = {}  # by name of the datastore; None is the default one


def namespace(name: "str | None") -> "str | None":
    """Show only runs with this tag, such as ``user:jane``; None shows all runs. Returns the namespace."""
    _selected["namespace"] = name or None
    return get_namespace()


def get_namespace() -> "str | None":
    """Namespace in force; None if all runs are shown."""
    name = _selected["namespace"]
    if name != _DEFAULT:
        return name
    if "namespace" in current:
        return current.namespace or None
    return "user:%s" % username()


def default_namespace() -> "str | None":
    """Switch back to the namespace of the current run, or else of the current user, and return it."""
    _selected["namespace"] = _DEFAULT
    return get_namespace()


def metadata(where: str) -> str:
    """Switch to another datastore, and return its name as ``get_metadata`` does.

    Args:
        where: ``local`` or ``s3`` for the datastore of the settings, a directory, ``s3://bucket/prefix``,
            or a name that ``get_metadata`` returned, such as ``local@/a/directory``.

    Raises:
        SettingError: ``where`` does not name a datastore.
    """
    before = _selected["metadata"]
    _selected["metadata"] = where
    try:
        return get_metadata()
    except Exception:
        _selected["metadata"] = before
        raise


def default_metadata() -> str:
    """Switch back to the datastore of the current run, or else of the settings, and return its name."""
    _selected["metadata"] = None
    return get_metadata()


def get_metadata() -> str:
    """Name of the datastore in use, such as ``local@/home/jane/.airflow-conda-flow/datastore``."""
    return catalogue().call("describe", [])  # type: ignore[no-any-return]


def catalogue(where: "str | None" = None) -> "Catalogue":
    """Catalogue of a datastore, by default of the selected one; opened once per process."""
    if where is None:
        where = _selected["metadata"]
    known = _open.get(where)
    if known is None:
        known = _open[where] = _opened(where)
    return known


def _opened(where: "str | None") -> "Catalogue":
    if protocol.running is not None:
        from airflow_conda_flow.client.runner_catalogue import RunnerCatalogue  # noqa: PLC0415 - in steps

        runners = RunnerCatalogue(protocol.running)
        if where is None or where == runners.call("describe", []):
            return runners
    try:
        from airflow_conda_flow.datastore.catalogue import RunCatalogue  # noqa: PLC0415 - not in steps
        from airflow_conda_flow.datastore.datastore import open_datastore  # noqa: PLC0415 - not in steps
        from airflow_conda_flow.settings.loading import load_settings  # noqa: PLC0415 - not in steps
    except ImportError:
        raise ClientError(
            "A step's own environment reads past runs through its runner, in the datastore of its run "
            "and in the step's own process. Read other runs in a step with @conda(disabled=True)."
        ) from None
    if "airflow" in sys.modules:  # a worker, or another process with Airflow's configuration
        return RunCatalogue(bound("airflow_datastore")(_overrides(where)))
    settings = load_settings(_overrides(where))
    return RunCatalogue(open_datastore(settings.datastore, settings.datastore_root, settings.cache_dir))


def _overrides(where: "str | None") -> "dict[str, str | None]":
    """Settings that select the named datastore.

    >>> _overrides("s3@s3://b/x") == _overrides("s3://b/x")
    True
    """
    if where is None:
        return {}
    kind, _, root = where.partition("@")
    if kind in {"local", "s3"}:
        return {"datastore": kind, "datastore_root": root or None}
    if where.startswith("s3://"):
        return {"datastore": "s3", "datastore_root": where}
    if where.startswith(("/", "./", "../", "~")):
        return {"datastore": "local", "datastore_root": where}
    raise SettingError(
        "metadata(%r) names no datastore. Write 'local', 's3', a directory, or 's3://bucket/prefix'." % where
    )
