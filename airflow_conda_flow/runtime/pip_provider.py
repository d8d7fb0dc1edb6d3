"""``python -m pip`` in the overlay of a task whose environment has no pip: unpacks one, then becomes it.

The pip is that of the interpreter's own bundle, which ``ensurepip`` installs from. Python finds this file
as ``pip.py``, behind everything else, so that any real pip comes first (``overlay.py``). It is a program
only: as a library it would be a pip that the step has not declared.
"""

import glob
import os
import shutil
import sys
import tempfile
import zipfile

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

_HOW_TO_DECLARE = (
    "There is no pip in this step's environment, and its Python brings none (ensurepip is missing, or has no "
    "wheel). Declare what the step needs: @pypi(packages={...}) for the package itself, or "
    '@conda(libraries={"pip": ...}) for pip. A step without an environment needs pip in its image.\n'
)


def main() -> "NoReturn":
    """Unpack pip into the overlay and become it; exit with 1 if there is none to unpack."""
    # It is in overlays only.
    import _airflow_conda_flow_overlay as overlay  # type: ignore[import-not-found]  # noqa: PLC0415

    wheel = _bundled()
    if wheel is None:
        sys.stderr.write(_HOW_TO_DECLARE)
        sys.exit(1)
    _unpack(wheel, overlay.LIBRARIES)
    os.execv(sys.executable, [sys.executable, "-m", "pip"] + sys.argv[1:])  # noqa: S606 - no shell


def _bundled() -> "str | None":
    """Path of the newest pip that the interpreter brings, or None."""
    try:
        import ensurepip  # noqa: PLC0415 - some systems leave it out
        import sysconfig  # noqa: PLC0415 - needed here alone
    except ImportError:
        return None
    folders = [os.path.join(os.path.dirname(ensurepip.__file__), "_bundled")]
    folders.append(sysconfig.get_config_var("WHEEL_PKG_DIR") or "")  # where systems keep all their wheels
    found = [path for each in folders for path in glob.glob(os.path.join(each, "pip-*.whl"))]
    return max(found, key=_version) if found else None


def _version(wheel: str) -> "list[int]":
    number = os.path.basename(wheel).split("-")[1]
    return [int(part) for part in number.split(".") if part.isdigit()]


def _unpack(wheel: str, libraries: str) -> None:
    """Unpack a wheel into a directory. Another process may do the same at once: the first one's counts."""
    temporary = tempfile.mkdtemp(dir=os.path.dirname(libraries))
    try:
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(temporary)
        # The package comes last: once it is there, nothing looks for this file any more.
        for name in sorted(os.listdir(temporary), reverse=True):
            try:
                os.rename(os.path.join(temporary, name), os.path.join(libraries, name))
            except OSError:
                if not os.path.isdir(os.path.join(libraries, name)):
                    raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


if __name__ == "__main__":
    main()
else:
    raise ModuleNotFoundError("No module named 'pip'", name="pip")
