"""A module that a flow file imports and that is not there: the error says where to import it instead.

A flow file is read by whoever starts or compiles the flow, and again by every step; each has modules of its
own. Standard library only, Python 3.6 and later: it is shipped into step environments.
"""

import re
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_ENVIRONMENTS = re.compile(r"^\s*@(?:\w+\.)?(?:conda|pypi)(?:_base)?\b", re.MULTILINE)

_IMPORTING = ("<frozen importlib._bootstrap>", "<frozen importlib._bootstrap_external>")


class _AbsentModules:
    """Import finder that finds nothing: it is asked last, for what no other one has found."""

    def find_spec(self, name: str, path: "Any" = None, target: "Any" = None) -> None:
        """Raise an error with advice if it is a flow file that imports the module at its top.

        Raises:
            ModuleNotFoundError: the one that Python would raise, with one more sentence.
        """
        del path, target
        frame: "Any" = sys._getframe(1)  # noqa: SLF001 - the only way to find who imports it
        while frame is not None and frame.f_code.co_filename in _IMPORTING:
            frame = frame.f_back
        # importlib.util.find_spec asks too, and is to get None: its own frame is no module's.
        if "." in name or frame is None or frame.f_code.co_name != "<module>":
            return
        if _has_environments(str(frame.f_globals.get("__file__"))):
            raise ModuleNotFoundError(
                "No module named %r where this flow file is read, which every step does too. If it is only "
                "in the environments of some steps, import it inside those steps." % name,
                name=name,
            )


if sys.version_info >= (3, 8):
    # Python leaves the frames of its own import system out of the traceback of an ImportError: this is one.
    _AbsentModules.find_spec.__code__ = _AbsentModules.find_spec.__code__.replace(
        co_filename="<frozen importlib._bootstrap>"
    )


def _has_environments(path: str) -> bool:
    """True if the source is that of a flow whose steps have environments."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            text = file.read()
    except (OSError, ValueError):
        return False
    return "FlowSpec" in text and _ENVIRONMENTS.search(text) is not None


def explain_absent_modules() -> None:
    """Explain them in this process from now on. Idempotent."""
    if not any(type(each).__name__ == _AbsentModules.__name__ for each in sys.meta_path):
        sys.meta_path.append(_AbsentModules())
