"""``RunCode``: the source code of a run."""

import os

from airflow_conda_flow.errors import CorruptData

TYPE_CHECKING = False
if TYPE_CHECKING:
    from tarfile import TarFile
    from tempfile import TemporaryDirectory
    from typing import Any

    from airflow_conda_flow.client.scope import Catalogue


class RunCode:
    """Source code of a run, as stored in its code package.

    Attributes:
        sha256: SHA-256 of the code package, in hex.
        script_name: path of the flow file in the package.
    """

    def __init__(self, catalogue: "Catalogue", sha256: str, flow_file: str) -> None:
        self.sha256 = sha256
        self.script_name = flow_file
        self._catalogue = catalogue

    @property
    def path(self) -> str:
        """Directory in this machine's cache that contains the files. Do not change anything in it."""
        return self._catalogue.call("code", [self.sha256])  # type: ignore[no-any-return]

    @property
    def files(self) -> "list[str]":
        """Relative paths of all files, sorted."""
        root = self.path
        return sorted(
            os.path.relpath(os.path.join(folder, name), root)
            for folder, _, names in os.walk(root)
            if os.path.basename(folder) != "__pycache__"
            for name in names
        )

    @property
    def flowspec(self) -> str:
        """Text of the flow file."""
        path = os.path.join(self.path, self.script_name)
        try:
            with open(path, encoding="utf-8") as file:
                return file.read()
        except FileNotFoundError:
            raise CorruptData(
                "The run's record names the flow file %r, which its code package lacks." % self.script_name
            ) from None

    @property
    def info(self) -> "dict[str, Any]":
        """Digest, flow file and file list as plain data."""
        return {"sha256": self.sha256, "script": self.script_name, "files": self.files}

    @property
    def tarball(self) -> "TarFile":
        """All files as an open ``tarfile.TarFile``."""
        import io  # noqa: PLC0415 - rarely needed
        import tarfile  # noqa: PLC0415 - rarely needed

        root, buffer = self.path, io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w") as archive:
            for name in self.files:
                archive.add(os.path.join(root, name), name)
        buffer.seek(0)
        return tarfile.open(fileobj=buffer)

    def extract(self) -> "TemporaryDirectory[str]":
        """Temporary directory with a copy of all files; it is removed together with the returned object."""
        import shutil  # noqa: PLC0415 - rarely needed
        import tempfile  # noqa: PLC0415 - rarely needed

        folder, root = tempfile.TemporaryDirectory(), self.path
        for name in self.files:
            target = os.path.join(folder.name, name)
            if not os.path.isdir(os.path.dirname(target)):
                os.makedirs(os.path.dirname(target))
            shutil.copyfile(os.path.join(root, name), target)
        return folder

    def __str__(self) -> str:
        return "<RunCode %s %s>" % (self.script_name, self.sha256[:12])

    __repr__ = __str__
