"""Late bindings: lower packages call functions of higher ones by name, without importing them.

A flow class starts the command line, and ``current.run`` returns an object of the client, although ``cli``
and ``client`` are above ``flow``. The package's ``bindings.py`` states which function belongs to which name.
Standard library only, Python 3.6 and later: it is shipped into step environments.
"""

import importlib

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_ANSWERS: "dict[str, str]" = {}


def bind(answers: "dict[str, str]") -> None:
    """Register functions by name.

    Args:
        answers: ``module:function`` by the name that is passed to ``bound``.
    """
    _ANSWERS.update(answers)


def bound(name: str) -> "Any":
    """Function that is registered under a name; its module is imported now.

    Raises:
        KeyError: no function is registered under that name.
        ImportError: the module or one of its requirements is not installed, as in a step environment.
    """
    module, _, function = _ANSWERS[name].partition(":")
    return getattr(importlib.import_module(module), function)
