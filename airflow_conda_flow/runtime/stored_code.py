"""Imports of a flow's modules from the run's code package, under the paths of the user's own files.

The flow may be edited while its run goes on: each step executes what was stored when the run began. Only the
text comes from the package. ``__file__`` and the paths in tracebacks are those of the folder that the flow
was started from, so data files beside the flow are found there. Bytecode is written beside the stored
sources, and never into the user's folder.

Modules that a code package cannot hold, such as compiled ones, come from the user's folder.
"""

import json
import os
import sys
from importlib.machinery import (
    BYTECODE_SUFFIXES,
    EXTENSION_SUFFIXES,
    SOURCE_SUFFIXES,
    ExtensionFileLoader,
    FileFinder,
    ModuleSpec,
    PathFinder,
    SourceFileLoader,
    SourcelessFileLoader,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

_VARIABLE = "_CONDA_FLOW_STORED_CODE"  # tells processes that the step spawns; the value is JSON
_BYTECODE = tuple(BYTECODE_SUFFIXES)
_SOURCES = tuple(SOURCE_SUFFIXES)


def serve(code_dir: str, stored_dir: str, modules: "dict[str, str] | None" = None) -> None:
    """Import modules below a directory from stored sources, in this process and those that it spawns.

    Args:
        code_dir: directory that the modules take for their own.
        stored_dir: directory of the extracted code package. If both are the same, imports stay as they are.
        modules: file or directory that each module takes for its own that is not below ``code_dir``.
    """
    os.environ.pop(_VARIABLE, None)  # that of a step which started this run
    if os.path.abspath(code_dir) == os.path.abspath(stored_dir):
        return
    os.environ[_VARIABLE] = json.dumps([code_dir, stored_dir, modules or {}])
    _install(_Sources(code_dir, stored_dir, modules or {}))


def serve_again() -> None:
    """Do what ``serve`` did in the process that spawned this one."""
    found = os.environ.get(_VARIABLE)
    if found is not None:
        _install(_Sources(*json.loads(found)))


def flow_spec(name: str, path: str) -> "Any":
    """Spec of a flow file under a name by which ``import`` would find another module."""
    for hook in sys.path_hooks:
        if isinstance(hook, _Sources) and hook.stored(path) is not None:
            return hook.spec(name, path, is_package=False)
    from importlib.util import spec_from_file_location  # noqa: PLC0415 - slow to import, and rarely needed

    # Stated, because the file's name may have any ending.
    return spec_from_file_location(name, path, loader=SourceFileLoader(name, path))


def _install(sources: "_Sources") -> None:
    sys.path_hooks.insert(0, sources)
    # Whatever was looked up before has a finder that the hook did not make.
    for path in [each for each in sys.path_importer_cache if sources.stored(each) is not None]:
        del sys.path_importer_cache[path]
    if "linecache" in sys.modules:
        _show_stored_lines(sys.modules["linecache"], sources)
    else:
        sys.meta_path.insert(0, _AfterImport("linecache", lambda module: _show_stored_lines(module, sources)))


class _Sources:
    """Path hook for the user's folder: maps its paths to those of the stored sources.

    Args:
        code_dir: the user's folder.
        stored_dir: directory of the extracted code package.
        modules: file or directory of each module that is in another folder.
    """

    def __init__(self, code_dir: str, stored_dir: str, modules: "dict[str, str]") -> None:
        self._stored_dir = stored_dir.rstrip(os.sep)
        self._modules = modules
        # A step may put a folder on ``sys.path`` by its real path, when the flow was started through a link.
        roots = [os.path.abspath(code_dir), os.path.realpath(code_dir)]
        self._roots = [root.rstrip(os.sep) + os.sep for root in roots]
        self._places = [
            (
                each.rstrip(os.sep) + os.sep,
                os.path.join(self._stored_dir, name + (".py" if path.endswith(".py") else "")),
            )
            for name, path in modules.items()
            for each in (os.path.abspath(path), os.path.realpath(path))
        ] + [(root, self._stored_dir) for root in self._roots]
        # Libraries of an interpreter below the folder. If it is the folder that is below an interpreter's
        # prefix, as in images with flows in /usr/local, the folder's modules are the flow's all the same.
        prefixes = {os.path.abspath(each) + os.sep for each in (sys.prefix, sys.base_prefix)}
        self._prefixes = tuple(each for each in prefixes if each.startswith(tuple(self._roots)))

    def __call__(self, path: str) -> "_Finder":
        """Finder for an entry of ``sys.path`` or of a package's ``__path__``."""
        path = os.path.abspath(path)
        stored = self.stored(path)
        if stored is None or self._is_installed(path, stored) or os.path.isfile(path):
            raise ImportError(path)
        return _Finder(path, stored, self)

    def stored(self, path: str) -> "str | None":
        """Path in the code package of a path in the user's folder, whether there is such a file or not."""
        for root, stored in self._places:
            if (path + os.sep).startswith(root):
                return os.path.join(stored, path[len(root) :]).rstrip(os.sep)
        return None

    def path(self, stored: str, folder: str, stored_folder: str) -> str:
        """The user's path of a stored file or directory that was found for an import.

        Args:
            stored: path of the file or directory.
            folder: the folder that was searched.
            stored_folder: its counterpart in the code package.
        """
        name, _, rest = os.path.relpath(stored, self._stored_dir).partition(os.sep)
        module = self._modules.get(name if rest or os.path.isdir(stored) else os.path.splitext(name)[0])
        if module is None or stored_folder != self._stored_dir:
            return os.path.join(folder, os.path.relpath(stored, stored_folder))
        return os.path.join(module, rest) if rest else module

    def spec(self, name: str, path: str, is_package: bool) -> "ModuleSpec":
        """Spec of a stored module.

        Args:
            name: the module's name.
            path: its file in the user's folder.
            is_package: whether the file is that of a package.
        """
        loader = _StoredLoader(name, path, str(self.stored(path)))
        spec = ModuleSpec(name, loader, origin=path, is_package=is_package)
        spec.has_location = True
        if spec.submodule_search_locations is not None:
            spec.submodule_search_locations.append(os.path.dirname(path))
        return spec

    def _is_installed(self, path: str, stored: str) -> bool:
        return path.startswith(self._prefixes) or "site-packages" in stored[len(self._stored_dir) :]

    def lines(self, path: str) -> "list[str] | None":
        """Lines of a stored module, by its path in the user's folder; None if it is not stored."""
        stored = self.stored(path) if path.endswith(_SOURCES) else None
        try:
            text = None if stored is None else SourceFileLoader("", stored).get_source("")
        except ImportError:  # no such file, or it is in no encoding
            return None
        if text is None:
            return None
        lines = text.split("\n")  # never at a form feed, as ``splitlines`` does
        return [line + "\n" for line in (lines if lines[-1] else lines[:-1])]


class _Finder:
    """Finder of the modules in one directory: the stored ones, then compiled and other ones beside them.

    Args:
        path: the directory, in the user's folder.
        stored: its counterpart in the code package.
        sources: the code package.
    """

    def __init__(self, path: str, stored: str, sources: "_Sources") -> None:
        self.path = path
        self._sources = sources
        self._stored_path = stored
        self._stored = FileFinder(stored, (SourceFileLoader, SOURCE_SUFFIXES))
        self._others = FileFinder(
            path,
            (ExtensionFileLoader, EXTENSION_SUFFIXES),
            (_OtherLoader, SOURCE_SUFFIXES),
            (SourcelessFileLoader, BYTECODE_SUFFIXES),
        )

    def find_spec(self, name: str, target: "Any" = None) -> "ModuleSpec | None":
        """Spec of a module; None if it is not here."""
        found = self._stored.find_spec(name, target)
        if found is None:
            return self._others.find_spec(name, target)
        if found.loader is None:  # a directory without ``__init__.py``
            stored = os.path.join(self._stored_path, name.rpartition(".")[2])
            found.submodule_search_locations = [self._sources.path(stored, self.path, self._stored_path)]
            return found
        path = self._sources.path(str(found.origin), self.path, self._stored_path)
        return self._sources.spec(name, path, found.submodule_search_locations is not None)

    def invalidate_caches(self) -> None:
        """Look again for files that have just been written; see ``importlib.invalidate_caches``."""
        self._stored.invalidate_caches()
        self._others.invalidate_caches()

    def iter_modules(self, prefix: str = "") -> "Iterator[tuple[str, bool]]":
        """Names of the modules and whether each is a package, for ``pkgutil``.

        Sources that were added after the run began are left out.
        """
        import pkgutil  # noqa: PLC0415 - it is what calls this

        listed: "Any" = pkgutil.iter_importer_modules  # type: ignore[attr-defined]  # typeshed lacks it
        seen = set()
        for name, is_package in listed(self._stored, prefix):
            seen.add(name)
            yield name, is_package
        for name, is_package in listed(self._others, prefix):
            path = os.path.join(self.path, name[len(prefix) :])
            if is_package:
                path = os.path.join(path, "__init__")
            if name not in seen and not any(os.path.isfile(path + suffix) for suffix in SOURCE_SUFFIXES):
                yield name, is_package


class _StoredLoader(SourceFileLoader):
    """Loader of a stored module that gives the user's path for the module's own.

    Args:
        name: the module's name.
        path: its file in the user's folder.
        stored: its file in the code package.
    """

    def __init__(self, name: str, path: str, stored: str) -> None:
        super().__init__(name, path)
        self._stored = stored

    def path_stats(self, path: "Any") -> "Any":
        """Time and size by which bytecode is recognised as that of the stored text."""
        return super().path_stats(self._place(path))

    def get_data(self, path: "Any") -> bytes:
        """The stored text, its bytecode, or a data file in the user's folder."""
        return super().get_data(self._place(path))

    def set_data(self, path: "Any", data: "Any", *, _mode: int = 0o666) -> None:
        """Write bytecode beside the stored text."""
        super().set_data(self._place(path), data, _mode=_mode)

    def _place(self, path: str) -> str:
        if path == self.path:
            return self._stored
        if path.endswith(_BYTECODE):
            return os.path.join(os.path.dirname(self._stored), "__pycache__", os.path.basename(path))
        return path


class _OtherLoader(SourceFileLoader):
    """Loader of a source that is not in the code package. It says so, and writes no bytecode."""

    def exec_module(self, module: "Any") -> None:
        """Say which file the module comes from, and execute it."""
        if not (module.__name__.startswith("airflow_conda_flow.") or _is_hidden(self.path)):
            _say(
                "Module %s is not in the run's code package, which was made when the run began: %s is "
                "imported as it is now.\n" % (module.__name__, self.path)
            )
        super().exec_module(module)

    def set_data(self, path: "Any", data: "Any", *, _mode: "Any" = 0o666) -> None:
        """Write nothing: Python recognises a change by time in seconds and size, and misses a quick edit."""


class _AfterImport:
    """Import finder that calls a function with a module once it has been imported.

    Args:
        name: the module's name.
        then: the function.
    """

    def __init__(self, name: str, then: "Callable[[Any], None]") -> None:
        self._name = name
        self._then = then

    def find_spec(self, name: str, path: "Any" = None, target: "Any" = None) -> "Any":
        """Spec with a loader that calls the function; None for every other name."""
        del path
        if name != self._name:
            return None
        if self in sys.meta_path:
            sys.meta_path.remove(self)
        spec = PathFinder.find_spec(name, None, target)
        if spec is not None and spec.loader is not None:
            spec.loader = _ThenLoader(spec.loader, self._then)  # type: ignore[assignment]
        return spec


class _ThenLoader:
    """Loader that does what another one does, and then calls a function with the module."""

    def __init__(self, loader: "Any", then: "Callable[[Any], None]") -> None:
        self._loader = loader
        self._then = then

    def create_module(self, spec: "Any") -> "Any":
        """The other loader's module."""
        return self._loader.create_module(spec)

    def exec_module(self, module: "Any") -> None:
        """Execute the module, which knows the other loader alone."""
        module.__loader__ = module.__spec__.loader = self._loader
        self._loader.exec_module(module)
        self._then(module)


def _show_stored_lines(linecache: "Any", sources: "_Sources") -> None:
    """Make tracebacks, warnings and ``inspect.getsource`` show the stored lines."""
    read = linecache.updatecache

    def updatecache(filename: str, module_globals: "Any" = None) -> "list[str]":
        lines = sources.lines(filename)
        if lines is None:
            return read(filename, module_globals)  # type: ignore[no-any-return]
        # Without a time of change, ``checkcache`` does not compare the entry with the file that is there now.
        linecache.cache[filename] = (sum(map(len, lines)), None, lines, filename)
        return lines

    linecache.updatecache = updatecache


def _is_hidden(path: str) -> bool:
    """True below a hidden directory: those belong to tools, and are never in a code package."""
    return (os.sep + ".") in path


def _say(line: str) -> None:
    try:
        sys.stderr.write(line)
    except (AttributeError, OSError, ValueError):  # the step has closed its standard error
        pass
