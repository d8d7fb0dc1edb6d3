"""Table of the kinds of places where a step can run: this machine, a pod, a job.

The rows are in the package's ``bindings.py``. A row names everything that a kind of place consists of, so
that nothing else in the package has to list the kinds. Standard library only, Python 3.6 and later: it is
shipped into step environments.
"""

import importlib
import importlib.util

from airflow_conda_flow.flow.requirements import missing_requirement

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

LOCAL = "local"
"""Name of the place of steps without a remote decorator: the machine that schedules them."""


class Place:
    """Kind of place: one row of the table.

    Classes, functions and constants are given as ``module:name`` and imported when they are needed, because
    most of them load large libraries.

    Args:
        name: name of the place, and of the decorator that sends a step there.
        compute: class that runs attempts for the command line; see ``compute.compute.Compute``.
        operator: Airflow operator for a step; see ``airflow.operators.step.StepTask``.
        gang_operator: Airflow operator for the nodes of a ``num_parallel``.
        decorator: class of the decorator; None for ``LOCAL``.
        options: tuple of the settings that only this place has; None if it has none.
        prepare: function that Airflow's prepare task calls once, with the decorators of this place's steps by
            step name, the settings and the storage; None if nothing has to be prepared before the first step.
        runner: function that stores the runner's archive for steps whose image may lack the runner, and
            returns its SHA-256 for the run's record; takes the same as ``prepare``. None for a place whose
            containers fetch nothing.
        unfinished: function that finds pods or jobs that runs of a flow have left there, for the commands
            ``list`` and ``kill``; see ``compute.unfinished``. None for a place without such commands.
        things: plural noun for the things that run there, such as ``pods``.
        needs: top-level modules that the compute imports, and that an extra of the distribution installs.
    """

    def __init__(
        self,
        name: str,
        *,
        compute: str,
        operator: str,
        gang_operator: str,
        decorator: "str | None" = None,
        options: "str | None" = None,
        prepare: "str | None" = None,
        runner: "str | None" = None,
        unfinished: "str | None" = None,
        things: str = "processes",
        needs: "tuple[str, ...]" = (),
    ) -> None:
        self.name = name
        self.compute = compute
        self.operator = operator
        self.gang_operator = gang_operator
        self.decorator = decorator
        self.options = options
        self.prepare = prepare
        self.runner = runner
        self.unfinished = unfinished
        self.things = things
        self.needs = needs

    def check_installed(self) -> None:
        """Raise ``MissingRequirement`` if the compute cannot run for want of a module; import nothing."""
        for module in self.needs:
            if importlib.util.find_spec(module) is None:
                raise missing_requirement(ModuleNotFoundError(name=module), self._steps)

    @property
    def _steps(self) -> str:
        """Subject of messages about steps that run there."""
        return "Steps" if self.name == LOCAL else "Steps with @%s" % self.name

    def load(self, part: str) -> "Any":
        """Class, function or constant that the row has under ``part``; its module is imported now.

        Raises:
            LookupError: the row has None there.
            MissingRequirement: a library that it needs is not installed here.
        """
        answer = getattr(self, part)
        if answer is None:
            raise LookupError("The place %s has no %s." % (self.name, part))
        module, _, name = answer.partition(":")
        try:
            return getattr(importlib.import_module(module), name)
        except ImportError as error:
            raise missing_requirement(error, self._steps) from error


_PLACES: "dict[str, Place]" = {}


def add_place(place: Place) -> None:
    """Add a row to the table; a row of the same name is replaced."""
    _PLACES[place.name] = place


def places() -> "list[Place]":
    """All rows, in the order in which they were added."""
    return list(_PLACES.values())


def place_named(name: str) -> Place:
    """Row of that name.

    Raises:
        LookupError: no row has that name; the message lists the names.
    """
    if name not in _PLACES:
        raise LookupError("There is no place %r to run steps. There is: %s." % (name, ", ".join(_PLACES)))
    return _PLACES[name]


def remote_names() -> "list[str]":
    """Names of the places on other machines; their decorators have the same names."""
    return [name for name in _PLACES if name != LOCAL]
