"""``Placement``: where each step of a run runs, derived once from the decorators."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow_conda_flow.environments.platform import current_platform
from airflow_conda_flow.errors import FlowDefinitionError, SettingError
from airflow_conda_flow.flow.places import LOCAL, Place, place_named, remote_names

if TYPE_CHECKING:
    from airflow_conda_flow.datastore.storage import Storage
    from airflow_conda_flow.settings.loading import Settings


@dataclass(frozen=True)
class Placement:
    """The place of every step of a flow.

    Attributes:
        names: name of the place of each step, by step name.
    """

    names: Mapping[str, str]

    @classmethod
    def of(cls, decorators: Mapping[str, Mapping[str, Any]]) -> Placement:
        """Placement that follows from the decorators.

        Args:
            decorators: attributes by decorator name, for every step by its name.

        Raises:
            FlowDefinitionError: a step has more than one remote decorator.
        """
        return cls({step: place_name(step, each) for step, each in decorators.items()})

    def place(self, step: str) -> Place:
        """Place of a step."""
        return place_named(self.names[step])

    def places(self) -> list[Place]:
        """Places that at least one step has, each once, in the order of the table."""
        return [place_named(name) for name in (LOCAL, *remote_names()) if name in self.names.values()]

    def is_remote(self, step: str) -> bool:
        """True if the step runs in a container on another machine."""
        return self.names[step] != LOCAL

    def steps_of(self, name: str) -> list[str]:
        """Names of the steps that run in the place of this name."""
        return [step for step, place in self.names.items() if place == name]

    @property
    def remote_steps(self) -> set[str]:
        """Names of the steps that run in containers on other machines."""
        return {step for step in self.names if self.is_remote(step)}

    def platforms(self, settings: Settings) -> dict[str, str]:
        """Conda platforms by step: this machine's for local ones, else the setting ``remote_platform``."""
        return {
            step: settings.remote_platform if self.is_remote(step) else current_platform()
            for step in self.names
        }

    def runner(
        self, decorators: Mapping[str, Mapping[str, Any]], settings: Settings, storage: Storage
    ) -> str | None:
        """SHA-256 of the runner's archive for the run's record; None if no container fetches the runner.

        Args:
            decorators: attributes by decorator name, for every step by its name.
            settings: the settings in force.
            storage: the datastore's storage; the archive is stored there unless it is.

        Raises:
            SettingError: a setting is not a valid value of its attribute.
            DatastoreError: the datastore cannot be read or written.
        """
        found = None
        for place in self.places():
            if place.runner is not None:
                there = {step: decorators[step] for step in self.steps_of(place.name)}
                found = found or place.load("runner")(there, settings, storage)
        return found

    def check_reachable(self, settings: Settings) -> None:
        """Check that the steps which run elsewhere can be started, and that they can reach the datastore.

        Raises:
            MissingRequirement: a library that starts them is not installed.
            SettingError: the datastore is a local directory.
        """
        for place in self.places():
            place.check_installed()
        remote = [place.name for place in self.places() if place.name != LOCAL]
        if remote and settings.datastore != "s3":
            raise SettingError(
                f"@{remote[0]} runs steps on other machines, which cannot reach the local datastore "
                f"{settings.datastore_root}. Set --datastore s3 and --datastore-root s3://bucket/prefix, or "
                "CONDA_FLOW_DATASTORE and CONDA_FLOW_DATASTORE_ROOT."
            )


def place_name(step: str, decorators: Mapping[str, Any]) -> str:
    """Name of the place of a step: ``local``, or the name of its remote decorator.

    Args:
        step: the step's name, for the message.
        decorators: the step's decorators, by name.

    Raises:
        FlowDefinitionError: the step has more than one remote decorator.
    """
    remote = [name for name in remote_names() if name in decorators]
    if len(remote) > 1:
        raise FlowDefinitionError(
            f"Step {step!r} has both @{remote[0]} and @{remote[1]}; a step runs in one place. Keep one."
        )
    return remote[0] if remote else LOCAL
