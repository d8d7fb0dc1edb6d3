"""Modules under Metaflow's paths, so that ``from airflow_conda_flow.flowspec import FlowSpec`` works.

Flows, and even more often their helper modules, import names from Metaflow's own modules. Each such module
is created when it is imported. It looks up names in this package and in ``cards``.
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
"""Metaflow's modules that can be imported; their submodules can be imported too."""

_SAME_AS = {
    # Metaflow's path of a module that has another path here.
    "metaflow_version": "metaflow.version",
    "plugins.datatools": "datatools",
    "plugins.datatools.s3": "datatools.s3",
    "plugins.datatools.s3.s3": "datatools.s3",
    # Former paths in this package. Pickled artifacts name the module of their class, so old ones need these.
    "flow.card_components": "flow.cards.components",
    "flow.card_viewers": "flow.cards.viewers",
    "flow.config_value": "flow.parameters.config_value",
    "flow.parameter_types": "flow.parameters.types",
}
"""Aliases: path of the real module by path of the alias."""


def _from(module: str, name: str) -> "Any":
    return getattr(importlib.import_module("%s.%s" % (_PACKAGE, module)), name)


def _as_it_is(method: "Any") -> "Any":
    """Return the method unchanged.

    It replaces Metaflow's decorators for ``render``: here every component already does what they do.
    """
    return method


def _datastore(kind: str) -> "str | None":
    """Root of the datastore if the datastore is of that kind, otherwise None."""
    found, _, root = _from("client.scope", "get_metadata")().partition("@")
    return root if found == kind else None


def _which(program: str) -> "str | None":
    return importlib.import_module("shutil").which(program)  # type: ignore[no-any-return]


def _datatools_root() -> "str | None":
    return _from("datatools.s3_access", "root")()  # type: ignore[no-any-return]


_VALUES: "dict[str, Callable[[], Any]]" = {
    "Card": lambda: _from("client.task_cards", "TaskCard"),
    "CardNotPresentException": lambda: _from("errors", "ObjectNotFound"),
    "CardContainer": lambda: _from("client.task_cards", "TaskCards"),
    "DATASTORE_SYSROOT_LOCAL": lambda: _datastore("local"),
    "DATASTORE_SYSROOT_S3": lambda: _datastore("s3"),
    "DATATOOLS_S3ROOT": _datatools_root,
    "DEFAULT_DATASTORE": lambda: _from("client.scope", "get_metadata")().partition("@")[0],
    "DEFAULT_METADATA": lambda: "local",
    "ExecutingRun": lambda: _from("launch.executing", "ExecutingRun"),
    "MarkdownComponent": lambda: _from("flow.cards.components", "Markdown"),
    "MetaflowCode": lambda: _from("client.run_code", "RunCode"),
    "MetaflowData": lambda: _from("client.task_data", "TaskData"),
    "TriggeredRun": lambda: _from("launch.deployed_flow", "TriggeredRun"),
    "get_username": lambda: username,
    "render_safely": lambda: _as_it_is,
    "resolve_identity": lambda: lambda: "user:" + username(),
    "which": lambda: _which,
    "with_default_component_id": lambda: _as_it_is,
}
"""Names that only these modules have, in addition to the names of the package; computed when asked for."""


class _Module(types.ModuleType):
    """One of Metaflow's modules; for a missing name, the ``ImportError`` says what to write instead."""

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
        from airflow_conda_flow.flow.unknown_names import unknown_name  # noqa: PLC0415 - only for an unknown name

        raise unknown_name("Metaflow's %s.%s is not here: %s." % (where, name, advice))


class _SameModule(types.ModuleType):
    """Alias of a module: a module object that looks up every name in another module."""

    def __getattr__(self, name: str) -> "Any":
        if name.startswith("__") and name != "__all__":
            raise AttributeError("module %r has no attribute %r" % (self.__name__, name))
        other = importlib.import_module("%s.%s" % (_PACKAGE, _SAME_AS[self.__name__.partition(".")[2]]))
        return getattr(other, name)


class _Loader:
    """Loader that creates these modules for the import system."""

    @staticmethod
    def create_module(spec: "Any") -> "types.ModuleType":
        """Create an empty module that looks its names up elsewhere."""
        return (_SameModule if spec.name.partition(".")[2] in _SAME_AS else _Module)(spec.name)

    @staticmethod
    def exec_module(module: "types.ModuleType") -> None:
        """Do nothing: the modules have no code to run."""


def spec_of(name: str) -> "importlib.machinery.ModuleSpec | None":
    """Import spec of one of Metaflow's modules; None for any other name.

    Args:
        name: the module's path within the package, such as ``plugins.cards``.
    """
    # Python imports ``plugins`` before ``plugins.cards``, so ``plugins`` needs a spec as well.
    known = name == "plugins" or name in _SAME_AS
    if not known and not any((name + ".").startswith(module + ".") for module in _MODULES):
        return None
    loader = _Loader()
    return importlib.machinery.ModuleSpec("%s.%s" % (_PACKAGE, name), loader, is_package=True)  # type: ignore[arg-type]
