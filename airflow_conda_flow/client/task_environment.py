"""``TaskEnvironment``: the locked conda environment of a task."""

from airflow_conda_flow.errors import ObjectNotFound

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from airflow_conda_flow.client.scope import Catalogue


class Package:
    """One package of an environment.

    Attributes:
        name: package name.
        version: package version.
        build: build string.
        channel: channel that the package comes from.
        url: URL of the archive.
        sha256: SHA-256 of the archive, in hex.
        size: size of the archive, in bytes.
        stated: True if the step asked for the package by name.
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
    """Locked conda environment.

    Attributes:
        id: id of the environment's spec.
        platform: conda platform, such as ``linux-64``.
        python: version of Python; None if it is unknown.
    """

    def __init__(self, catalogue: "Catalogue", spec_id: str, platform: str, python: "str | None") -> None:
        self.id = spec_id
        self.platform = platform
        self.python = python
        self._catalogue = catalogue

    @property
    def lock(self) -> "dict[str, Any]":
        """Stored lock, as plain data.

        Raises:
            ObjectNotFound: the lock is neither in the datastore nor in this machine's cache, as happens if
                another machine solved the environment and the datastore is a directory.
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
        """Packages sorted by name: those that the step asked for, and their dependencies."""
        return [Package(each) for each in self.lock["packages"]]

    def to_dict(self) -> "dict[str, Any]":
        """Environment and its packages as plain data."""
        return {
            "type": "conda",
            "id": self.id,
            "platform": self.platform,
            "python": self.python,
            "packages": self.lock["packages"],
        }

    def __repr__(self) -> str:
        return "<TaskEnvironment %s %s, Python %s>" % (self.id[:12], self.platform, self.python)
