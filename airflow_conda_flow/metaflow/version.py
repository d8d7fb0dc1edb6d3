"""``metaflow_version.get_version()``: for flows that print what runs them."""

from airflow_conda_flow._version import __version__


def get_version() -> str:
    """The version of this package; Metaflow's own is nowhere around."""
    return __version__
