"""Overlay of a task: a virtual environment over the step's own, for what the step installs while it runs.

    pyvenv.cfg, bin/                what makes it a virtual environment; ``python`` and ``pip`` of the shell
    lib/pythonX.Y/site-packages/    where pip and uv install; the step imports from there at once
    without-pip/pip.py              ``python -m pip`` where the environment has no pip (``pip_provider.py``)

The step itself runs in its own interpreter, with ``sys.prefix`` as it was. Only ``sys.executable`` and
``PATH`` lead to the overlay. No variable redirects pip: it would also redirect the pip of a virtual
environment that the step makes. For pip, what is below the overlay belongs to another environment: it is
seen and may be shadowed, but is never removed.

The runner removes the folder with the task's other scratch files.
"""

import importlib
import os
import site
import sys
from importlib.machinery import PathFinder

from airflow_conda_flow.errors import EnvironmentFailure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

# Variables that would lead pip or uv past the overlay: images set some of them for their own Python.
_DROPPED = ("PIP_PREFIX", "PIP_PYTHON", "PIP_ROOT", "PIP_TARGET", "UV_PYTHON", "UV_SYSTEM_PYTHON")
_LIBRARIES = ("site-packages", "dist-packages")
# A module that every ``python`` of the overlay imports at its start, by a file of that name with ``.pth``.
_MODULE = "_airflow_conda_flow_overlay"
# It puts the directories of the step's own environment behind the overlay's. ``PREFIXES`` are those of the
# interpreter below a virtual environment: a step in a virtual environment does not see its libraries.
# ``pip install --user`` needs a user base that can be seen, and gets the overlay.
_START = '''\
"""Makes the libraries of the step's environment visible in the overlay of its task."""

import os
import site
import sys

FOLDER = %(folder)r
LIBRARIES = %(libraries)r

if sys.prefix == FOLDER:  # other interpreters may find this file in their user site-packages
    site.PREFIXES[:] = []
    site.ENABLE_USER_SITE = True
    os.environ["PYTHONUSERBASE"] = FOLDER
    for each in %(below)r:
        site.addsitedir(each)
    sys.path.append(os.path.join(FOLDER, "without-pip"))
'''
_PIP = """\
#!/bin/sh
exec %s -m pip "$@"
"""


def enter(folder: str) -> None:
    """Make the overlay in a folder, if it is not there, and lead this process and its children to it.

    Args:
        folder: an absolute path below the task's scratch directory.

    Raises:
        EnvironmentFailure: the disk is full, or cannot be written.
    """
    folder = os.path.realpath(folder)  # as ``sys.prefix`` will be
    abi = "t" if "t" in getattr(sys, "abiflags", "") else ""
    minor = "%d.%d" % sys.version_info[:2]
    libraries = os.path.join(folder, "lib", "python%s%s" % (minor, abi), "site-packages")
    below = _below()
    if not os.path.exists(os.path.join(folder, "pyvenv.cfg")):
        try:
            _make(folder, libraries, below, minor)
        except OSError as cause:
            raise EnvironmentFailure(
                "The folder %s, in which the step could install packages, cannot be made: %s. Make room "
                "there, or set datastore_root (with S3: cache_dir) to another disk."
                % (folder, cause.strerror)
            ) from cause
    _lead_children(folder)
    first = next((number for number, each in enumerate(sys.path) if each in below), len(sys.path))
    sys.path.insert(first, libraries)
    sys.meta_path.insert(0, _PipInStep(libraries))
    sys.meta_path.append(_Installed(libraries))


def _below() -> "list[str]":
    """Directories of libraries that the step sees, in their order."""
    known = [site.getusersitepackages()] if site.ENABLE_USER_SITE else []
    known += site.getsitepackages()
    # In a flow that a step runs, the interpreter is itself an overlay's, and those below that one count too.
    return [each for each in sys.path if each in known or os.path.basename(each) in _LIBRARIES]


def _make(folder: str, libraries: str, below: "list[str]", minor: str) -> None:
    programs = os.path.join(folder, "bin")
    for each in (libraries, programs, os.path.join(folder, "without-pip")):
        os.makedirs(each)
    os.symlink("lib", os.path.join(folder, "lib64"))  # where some systems install compiled modules
    python = os.path.join(programs, "python")
    os.symlink(os.path.realpath(sys.executable), python)
    for name in ("python3", "python%s" % minor):
        os.symlink("python", os.path.join(programs, name))
    for name in ("pip", "pip3", "pip%s" % minor):
        path = os.path.join(programs, name)
        _write(path, _PIP % ("'%s'" % python.replace("'", "'\\''")))
        os.chmod(path, 0o755)  # noqa: S103 - a program of the task's own
    os.symlink(
        os.path.join(os.path.dirname(os.path.abspath(__file__)), "pip_provider.py"),
        os.path.join(folder, "without-pip", "pip.py"),
    )
    values = {"folder": folder, "libraries": libraries, "below": below}
    _write(os.path.join(libraries, _MODULE + ".py"), _START % values)
    _write(os.path.join(libraries, _MODULE + ".pth"), "import %s\n" % _MODULE)
    text = "home = %s\ninclude-system-site-packages = true\nversion = %d.%d.%d\n"
    _write(os.path.join(folder, "pyvenv.cfg"), text % ((_home(),) + sys.version_info[:3]))


def _home() -> str:
    """Directory from which the interpreter finds its standard library, below all virtual environments."""
    if _is_virtual():
        with open(os.path.join(sys.prefix, "pyvenv.cfg"), encoding="utf-8") as file:
            for line in file:
                name, _, value = line.partition("=")
                if name.strip().lower() == "home":
                    return value.strip()
    return os.path.dirname(os.path.realpath(sys.executable))


def _is_virtual() -> bool:
    return sys.prefix != sys.base_prefix and os.path.exists(os.path.join(sys.prefix, "pyvenv.cfg"))


def _write(path: str, text: str) -> None:
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)


def _lead_children(folder: str) -> None:
    programs = [os.path.join(folder, "bin")]
    if _is_virtual():  # it need not be activated
        programs.append(os.path.dirname(os.path.abspath(sys.executable)))
    os.environ["PATH"] = os.pathsep.join(programs + [os.environ.get("PATH") or os.defpath])
    os.environ["VIRTUAL_ENV"] = folder  # uv installs there
    for name in _DROPPED:
        os.environ.pop(name, None)
    if sys.flags.isolated:
        # Programs of the environment name its interpreter in their first line. They see what was installed
        # as user site-packages, and nothing of the user's real ones.
        os.environ["PYTHONUSERBASE"] = folder
        os.environ.pop("PYTHONNOUSERSITE", None)
    own = os.path.join(folder, "bin", os.path.basename(sys.executable))
    sys.executable = own if os.path.exists(own) else os.path.join(folder, "bin", "python")


class _PipInStep:
    """Makes a pip that the step imports install into the overlay; it finds no module.

    In the step's own process ``sys.prefix`` is not the overlay's. ``PIP_TARGET`` is for virtual environments,
    which have no user site-packages.

    Args:
        libraries: directory of libraries in the overlay.
    """

    def __init__(self, libraries: str) -> None:
        self._libraries = libraries

    def find_spec(self, name: str, path: "Any" = None, target: "Any" = None) -> None:
        """Set pip's options as soon as the step imports it."""
        del path, target
        if name != "pip":
            return
        if _is_virtual():
            os.environ["PIP_TARGET"] = self._libraries
            return
        folder = os.path.dirname(os.path.dirname(sys.executable))
        os.environ.update(PYTHONUSERBASE=folder, PIP_USER="1")
        site.ENABLE_USER_SITE, site.USER_BASE, site.USER_SITE = True, folder, self._libraries


class _Installed:
    """Import finder of last resort: looks again in what was installed since the last time that it looked.

    Python reads ``.pth`` files, which editable installations consist of, only when it starts.

    Args:
        libraries: directory of libraries in the overlay.
    """

    def __init__(self, libraries: str) -> None:
        self._libraries = libraries
        self._known = set(os.listdir(libraries))

    def find_spec(self, name: str, path: "Any" = None, target: "Any" = None) -> "Any":
        """Spec of a module that has just been installed, else None."""
        del target
        try:
            names = set(os.listdir(self._libraries))
        except OSError:
            return None
        new = names - self._known
        if not new:
            return None
        self._known = names
        importlib.invalidate_caches()
        for each in sorted(new):
            if each.endswith(".pth"):
                site.addpackage(self._libraries, each, set(sys.path))
        return PathFinder.find_spec(name, path)
