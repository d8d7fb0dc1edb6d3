"""Refuses ranges of versions in a flow without a lock file, and proposes the versions to write instead."""

from __future__ import annotations

import argparse
import platform
import threading

from airflow_conda_flow.compute.placement import Placement
from airflow_conda_flow.environments.step_specs import step_requests
from airflow_conda_flow.errors import CondaFlowError, SolveError
from airflow_conda_flow.flow.decorators.conda import library_key, pypi_key
from airflow_conda_flow.flow.definition import FlowDefinition
from airflow_conda_flow.runner.stores import open_environments, open_settings_datastore
from airflow_conda_flow.settings.loading import Settings

# A channel that answers takes a second or two. The message is of use without the version, too.
_PATIENCE_SECONDS = 20


def check_versions(arguments: argparse.Namespace, definition: FlowDefinition, settings: Settings) -> None:
    """Raise if a version is a range and the flow has no lock file.

    Raises:
        FlowDefinitionError: it names the version that the channels have now, if environments would be made
            and the channels answer; or that they have none.
    """

    def propose(step: str, name: str) -> str | None:
        found: list[str | None] = []
        unsolved: list[SolveError] = []

        def ask() -> None:
            try:
                found.append(_solved_version(definition, settings, step, name))
            except SolveError as error:
                unsolved.append(error)
            except CondaFlowError:  # the range is the first thing to mend
                pass

        thread = threading.Thread(target=ask, daemon=True)
        thread.start()
        thread.join(_PATIENCE_SECONDS)
        if unsolved:
            raise unsolved[0]
        return found[0] if found else None

    definition.check_versions(propose if arguments.environment == "conda" else None)


def _solved_version(definition: FlowDefinition, settings: Settings, step: str, name: str) -> str | None:
    platforms = Placement.of(definition.decorators).platforms(settings)
    request = step_requests(definition, platforms.__getitem__, is_locked=True)[step]
    spec = request.spec(settings, platforms[step], platform.python_version())
    environments = open_environments(settings, open_settings_datastore(settings))
    packages = environments.solve({f"step {step}": spec})[f"step {step}"].packages
    keys = {library_key(name), pypi_key(name)}
    return next((each.version for each in packages if each.stated and each.name in keys), None)
