"""Description of this package as a provider of Airflow.

https://airflow.apache.org/docs/apache-airflow-providers/howto/create-custom-providers.html
"""

from __future__ import annotations

from typing import Any

from airflow_conda_flow._version import __version__
from airflow_conda_flow.settings.loading import options


def get_provider_info() -> dict[str, Any]:
    """Description of the provider, including the section ``[conda_flow]`` of Airflow's configuration."""
    return {
        "package-name": "airflow-conda-flow",
        "name": "Conda Flow",
        "description": "Flows whose every step runs in exactly its own conda environment.",
        "versions": [__version__],
        "config": {
            "conda_flow": {
                "description": "Flows of airflow-conda-flow.",
                "options": {
                    option.name: {
                        "description": option.description,
                        "version_added": "0.1.0",
                        "type": option.kind,
                        "example": None,
                        "default": option.default,
                    }
                    for option in options()
                },
            }
        },
    }
