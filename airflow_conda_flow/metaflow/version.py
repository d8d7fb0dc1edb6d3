"""``metaflow_version.get_version()``, for flows that print the version they run on."""

from airflow_conda_flow._version import __version__


def get_version() -> str:
    """Version of this package, not of Metaflow: this package is what runs the flow."""
    return __version__
