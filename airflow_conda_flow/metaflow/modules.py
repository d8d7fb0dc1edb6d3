"""Modules where Metaflow has them: ``from airflow_conda_flow.flowspec import FlowSpec`` works too.

Flows, and more so the modules beside them, import names from where Metaflow keeps them. Each such module
is made when it is imported, and gives what the package, or its cards, has under that name.
Standard library only, Python 3.6 and later: it is shipped into step environments.
"""

import importlib
import importlib.machinery
import types

from airflow_conda_flow.flow.username import username
from airflow_conda_flow.metaflow.names import INSTEAD

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

_PACKAGE = "airflow_conda_flow"
_MODULES = (
    "client.core",
    "decorators",
    "flowspec",
    "includefile",
    "metaflow_config",
    "metaflow_current",
    "metaflow_profile",
    "multicore_utils",
    "parameters",
    "plugins.cards",
    "plugins.pypi",
    "runner.deployer",
    "runner.metaflow_runner",
    "runner.nbrun",
    "user_configs",
    "user_decorators",
    "util",
)
"""These, and all modules below them."""

_SAME_AS = {
    # Where Metaflow keeps what has another place here.
    "metaflow_version": "metaflow.version",
    "plugins.datatools": "datatools",
    "plugins.datatools.s3": "datatools.s3",
    "plugins.datatools.s3.s3": "datatools.s3",
    # Where this package kept it, of classes whose objects are in artifacts: pickles name a class's module.
    "flow.card_components": "flow.cards.components",
    "flow.card_viewers": "flow.cards.viewers",
    "flow.config_value": "flow.parameters.config_value",
    "flow.parameter_types": "flow.parameters.types",
}
"""Modules that have all names of another one."""


def _from(module: str, name: str) -> "Any":
    return getattr(importlib.import_module("%s.%s" % (_PACKAGE, module)), name)


def _as_it_is(method: "Any") -> "Any":
    """What Metaflow's decorators for ``render`` do is done for every part of a card here."""
    return method


def _datastore(kind: str) -> "str | None":
    """The root of the datastore, if it is of that kind."""
    found, _, root = _from("client.scope", "get_metadata")().partition("@")
    return root if found == kind else None


def _which(program: str) -> "str | None":
    return importlib.import_module("shutil").which(program)  # type: ignore[no-any-return]


def _datatools_root() -> "str | None":
    return _from("datatools.s3_access", "root")()  # type: ignore[no-any-return]


_VALUES: "dict[str, Callable[[], Any]]" = {
    "DATASTORE_SYSROOT_LOCAL": lambda: _datastore("local"),
    "DATASTORE_SYSROOT_S3": lambda: _datastore("s3"),
    "DATATOOLS_S3ROOT": _datatools_root,
    "DEFAULT_DATASTORE": lambda: _from("client.scope", "get_metadata")().partition("@")[0],
    "DEFAULT_METADATA": lambda: "local",
    "ExecutingRun": lambda: _from("launch.executing", "ExecutingRun"),
    "MetaflowCode": lambda: _from("client.run_code", "RunCode"),
    "MetaflowData": lambda: _from("client.task_data", "TaskData"),
    "get_username": lambda: username,
    "render_safely": lambda: _as_it_is,
    "resolve_identity": lambda: lambda: "user:" + username(),
    "which": lambda: _which,
    "with_default_component_id": lambda: _as_it_is,
}
"""What those modules have beside the names of the package."""


class _Module(types.ModuleType):
    """One of them; ``ImportError`` says what to write for a name that is not here."""

    def __getattr__(self, name: str) -> "Any":
        if name.startswith("__"):
            raise AttributeError("module %r has no attribute %r" % (self.__name__, name))
        if name in _VALUES:
            return _VALUES[name]()
        package = importlib.import_module(_PACKAGE)
        if name in package.__all__:
            return getattr(package, name)
        cards = importlib.import_module(_PACKAGE + ".cards")
        if name in cards.__all__:
            return getattr(cards, name)
        where = self.__name__.partition(".")[2]
        advice = INSTEAD.get(name) or INSTEAD.get(where) or INSTEAD.get(where.partition(".")[0])
        from airflow_conda_flow.flow.unknown_names import unknown_name  # noqa: PLC0415 - only where one is wrong

        raise unknown_name("Metaflow's %s.%s is not here: %s." % (where, name, advice))


class _SameModule(types.ModuleType):
    """A module under a second name."""

    def __getattr__(self, name: str) -> "Any":
        if name.startswith("__") and name != "__all__":
            raise AttributeError("module %r has no attribute %r" % (self.__name__, name))
        other = importlib.import_module("%s.%s" % (_PACKAGE, _SAME_AS[self.__name__.partition(".")[2]]))
        return getattr(other, name)


class _Loader:
    """Makes the modules."""

    @staticmethod
    def create_module(spec: "Any") -> "types.ModuleType":
        """A module without names of its own."""
        return (_SameModule if spec.name.partition(".")[2] in _SAME_AS else _Module)(spec.name)

    @staticmethod
    def exec_module(module: "types.ModuleType") -> None:
        """Nothing is left to do."""


def spec_of(name: str) -> "importlib.machinery.ModuleSpec | None":
    """How the import system makes a module of Metaflow's; None if it is none of these.

    Args:
        name: the module's name without the package's.
    """
    # Python imports the packages of a module before the module.
    known = name == "plugins" or name in _SAME_AS
    if not known and not any((name + ".").startswith(module + ".") for module in _MODULES):
        return None
    loader = _Loader()
    return importlib.machinery.ModuleSpec("%s.%s" % (_PACKAGE, name), loader, is_package=True)  # type: ignore[arg-type]
