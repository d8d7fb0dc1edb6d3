"""``TaskEnvironment``: the conda environment that a task ran in, as it was locked."""

from airflow_conda_flow.errors import ObjectNotFound

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from airflow_conda_flow.client.scope import Catalogue


class Package:
    """One package of an environment.

    Attributes:
        name: its name.
        version: its version.
        build: its build string.
        channel: the channel that it is from.
        url: where it was found.
        sha256: of its archive, in hex.
        size: of its archive, in bytes.
        stated: whether the step asked for it by name.
    """

    def __init__(self, described: "dict[str, Any]") -> None:
        self.name: str = described["name"]
        self.version: str = described["version"]
        self.build: str = described.get("build", "")
        self.channel: str = described.get("channel", "")
        self.url: str = described["url"]
        self.sha256: str = described["sha256"]
        self.size: int = described["size"]
        self.stated: bool = described.get("stated", False)

    def __repr__(self) -> str:
        return "<Package %s %s %s>" % (self.name, self.version, self.build)


class TaskEnvironment:
    """A locked environment.

    Attributes:
        id: the id of its spec.
        platform: such as ``linux-64``.
        python: the version of Python in it.
    """

    def __init__(self, catalogue: "Catalogue", spec_id: str, platform: str, python: "str | None") -> None:
        self.id = spec_id
        self.platform = platform
        self.python = python
        self._catalogue = catalogue

    @property
    def lock(self) -> "dict[str, Any]":
        """The lock as it is stored.

        Raises:
            ObjectNotFound: it was solved on another machine, and the datastore is a directory.
        """
        if "_lock" not in self.__dict__:
            found = self._catalogue.call("lock", [self.platform, self.id])
            if found is None:
                raise ObjectNotFound(
                    "The lock of the environment %s for %s is neither in %s nor in this machine's cache."
                    % (self.id[:12], self.platform, self._catalogue.call("describe", []))
                )
            self._lock: "dict[str, Any]" = found
        return self._lock

    @property
    def packages(self) -> "list[Package]":
        """Its packages by name: those that the step asked for, and those that they need."""
        return [Package(each) for each in self.lock["packages"]]

    def to_dict(self) -> "dict[str, Any]":
        """All of it as plain data."""
        return {
            "type": "conda",
            "id": self.id,
            "platform": self.platform,
            "python": self.python,
            "packages": self.lock["packages"],
        }

    def __repr__(self) -> str:
        return "<TaskEnvironment %s %s, Python %s>" % (self.id[:12], self.platform, self.python)
