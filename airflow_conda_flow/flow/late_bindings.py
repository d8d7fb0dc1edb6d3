"""What lower rooms ask of rooms above them, by name, without importing them.

A flow class starts the command line, and ``current.run`` gives an object of the client, although both stand
above the language. The package's ``__init__`` says in one place which function answers to which name.
Standard library only, Python 3.6 and later: it is shipped into step environments.
"""

import importlib

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_ANSWERS: "dict[str, str]" = {}


def bind(answers: "dict[str, str]") -> None:
    """Say which functions answer.

    Args:
        answers: ``module:function`` by the name that ``bound`` is asked for.
    """
    _ANSWERS.update(answers)


def bound(name: str) -> "Any":
    """The function that answers to a name; its module is imported now.

    Raises:
        KeyError: the package binds no such name.
        ImportError: the module, or what it needs, is not installed here, as in a step's environment.
    """
    module, _, function = _ANSWERS[name].partition(":")
    return getattr(importlib.import_module(module), function)
