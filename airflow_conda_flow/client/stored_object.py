"""Base class of flows, runs, steps, tasks and artifacts: name, parent, children and tags."""

import importlib

from airflow_conda_flow.client import scope
from airflow_conda_flow.client.dag_runs import run_id_of
from airflow_conda_flow.errors import ClientError, InvalidPathspec, NamespaceMismatch, ObjectNotFound
from airflow_conda_flow.flow.current_run import current
from airflow_conda_flow.flow.decorators.base import nearest
from airflow_conda_flow.records.names import full_id
from airflow_conda_flow.records.times import stated_moment

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime
    from typing import Any

    from airflow_conda_flow.client.scope import Catalogue
    from airflow_conda_flow.records.run_record import TaggedRun

PARTS = ("FlowName", "RunID", "StepName", "TaskID", "ArtifactName")
_RUN_DEPTH = 2  # parts of a run's pathspec
_TASK_DEPTH = 4  # parts of a task's pathspec
BATCH = 200
"""Number of runs or tasks that are read in one request, if there are many."""

_CLASSES = (
    ("past_flow", "Flow"),
    ("past_run", "Run"),
    ("past_step", "Step"),
    ("past_task", "Task"),
    ("data_artifact", "DataArtifact"),
)
"""Module and name of the class for each depth.

Parent modules import the modules of their children, so a parent's class can only be imported when needed.
"""


class StoredObject:
    """Part of a past run, named by its pathspec, such as ``TrainFlow/1795547131171801/start``.

    Children are read when they are needed: ``for child in it``, ``it["id"]``, ``"id" in it``.

    Args:
        pathspec: name of the object; the id of an Airflow DAG run is accepted as the run id.
        attempt: attempt of the task; by default the one that succeeded, or else the last one.
        _namespace_check: False shows the object and everything in it in any namespace.

    Raises:
        InvalidPathspec: the pathspec does not name an object of this class.
        ObjectNotFound: there is no object with this name.
        NamespaceMismatch: the object is not in the selected namespace.
    """

    depth = 0
    """Number of parts in a pathspec of this class."""

    def __init__(self, pathspec: str, attempt: "int | None" = None, _namespace_check: bool = True) -> None:
        in_namespace = scope.get_namespace() if _namespace_check else None
        self._begin(self._parsed(pathspec), attempt, scope.catalogue(), in_namespace)
        if attempt is not None and self.depth < _TASK_DEPTH:
            raise ClientError("%s: only a Task or a DataArtifact takes attempt=." % type(self).__name__)
        try:
            self._load_unless_running()
        except ObjectNotFound:
            if not self._take_dag_run():
                raise
            self._load_unless_running()
        self._check_namespace()

    @classmethod
    def _parsed(cls, pathspec: object) -> "tuple[str, ...]":
        parts = tuple(pathspec.split("/")) if isinstance(pathspec, str) else ()
        if len(parts) != cls.depth or not all(parts):
            wanted = "/".join(PARTS[: cls.depth])
            raise InvalidPathspec("%s(%r): write %s('%s')." % (cls.__name__, pathspec, cls.__name__, wanted))
        return parts

    def _begin(
        self,
        parts: "tuple[str, ...]",
        attempt: "int | None",
        catalogue: "Catalogue",
        in_namespace: "str | None",
    ) -> None:
        self._parts = _with_full_id(parts)
        self._attempt = attempt
        self._catalogue = catalogue
        self._namespace = in_namespace

    @classmethod
    def _of(cls, parent: "StoredObject", name: str, attempt: "int | None" = None) -> "Any":
        """Child of a parent, created without reading it; the caller knows that it exists."""
        made = cls.__new__(cls)
        made._begin(parent._parts + (name,), attempt, parent._catalogue, parent._namespace)
        made._parent = parent
        return made

    def _is_running(self) -> bool:
        """True if this is the task of the calling code, which is stored only when it ends."""
        return bool(current.is_running_flow and self.pathspec == current.pathspec)

    def _load_unless_running(self) -> None:
        if not self._is_running():
            self._load()

    def _take_dag_run(self) -> bool:
        """Replace a DAG run id in the pathspec by its run id; return False if there is no such DAG run."""
        if self.depth < _RUN_DEPTH:
            return False
        flow, word = self._parts[:_RUN_DEPTH]
        known = self._catalogue.call("run_ids", [flow])
        run_id = None if word in known else run_id_of(flow, word, known)
        if run_id is None:
            return False
        self._parts = (flow, run_id) + self._parts[_RUN_DEPTH:]
        self.__dict__.pop("_parent", None)
        return True

    # Methods that each class implements.

    def _load(self) -> None:
        """Read enough to know that the object exists; raise ``ObjectNotFound`` if it does not."""
        raise NotImplementedError

    def _children(self) -> "Iterator[StoredObject]":
        """All children, in any namespace."""
        raise NotImplementedError

    def _child(self, name: str) -> "StoredObject | None":
        """Child with this name; None if there is none."""
        raise NotImplementedError

    def _run_record(self) -> "TaggedRun":
        """Record of the object's run, with its current tags."""
        return self.parent._run_record()  # type: ignore[no-any-return]

    # Members of all classes.

    @property
    def id(self) -> str:
        """Last part of the pathspec."""
        return self._parts[-1]

    @property
    def pathspec(self) -> str:
        """Full name of the object, such as ``TrainFlow/1795547131171801/start``."""
        return "/".join(self._parts)

    @property
    def path_components(self) -> "list[str]":
        """Parts of the pathspec."""
        return list(self._parts)

    @property
    def parent(self) -> "Any":
        """Object one level up; None for a flow."""
        if "_parent" not in self.__dict__:
            self._parent: "Any" = None
            if self.depth > 1:
                kind = _class_of(self.depth - 1)
                made = kind.__new__(kind)
                attempt = self._attempt if self.depth > _TASK_DEPTH else None
                made._begin(self._parts[:-1], attempt, self._catalogue, self._namespace)
                self._parent = made
        return self._parent

    @property
    def tags(self) -> "frozenset[str]":
        """All tags of the run: user tags and system tags."""
        return self.user_tags | self.system_tags

    @property
    def user_tags(self) -> "frozenset[str]":
        """Tags that users gave to the run."""
        return frozenset(self._run_record().user_tags)

    @property
    def system_tags(self) -> "frozenset[str]":
        """Tags that describe where the run comes from."""
        return frozenset(self._run_record().system_tags)

    @property
    def origin_pathspec(self) -> "str | None":
        """Pathspec of the object that ``resume`` cloned this one from; None if it is not a clone."""
        origin = self.parent.origin_pathspec if self.depth > 1 else None
        return None if origin is None else "%s/%s" % (origin, self.id)

    def is_in_namespace(self) -> bool:
        """True if the object is in the namespace that was selected when it was created."""
        return self._namespace is None or self._namespace in self.tags

    def _check_namespace(self) -> None:
        if not self.is_in_namespace():
            raise NamespaceMismatch(
                "%r is not in the namespace %r; its tags are: %s. Show all runs with namespace(None)."
                % (self, self._namespace, ", ".join(sorted(self.tags)))
            )

    def __iter__(self) -> "Iterator[Any]":
        return (child for child in self._children() if child.is_in_namespace())

    def __getitem__(self, name: str) -> "Any":
        child = self._child(str(name)) if name else None
        if child is None:
            names = [each.id for each in self._children()]
            raise KeyError(
                "%r has no %r.%s It has: %s."
                % (self, name, nearest(str(name), names), ", ".join(names[:20]) or "nothing")
            )
        child._check_namespace()
        return child

    def __contains__(self, name: object) -> bool:
        return bool(name) and self._child(str(name)) is not None

    def __repr__(self) -> str:
        attempt = "" if self._attempt is None else ", attempt=%d" % self._attempt
        return "%s('%s'%s)" % (type(self).__name__, self.pathspec, attempt)

    def __eq__(self, other: object) -> bool:
        if type(self) is not type(other):
            return NotImplemented
        return self._identity() == other._identity()

    def __hash__(self) -> int:
        return hash(self._identity())

    def _identity(self) -> "tuple[Any, ...]":
        return (self.depth, self._parts, self._attempt)

    def __reduce__(self) -> "Any":
        where = self._catalogue.call("describe", [])
        return restored, (type(self), self.pathspec, self._attempt, where, self._namespace)

    def _missing(self) -> "ObjectNotFound":
        return ObjectNotFound("%r does not exist in %s." % (self, self._catalogue.call("describe", [])))


def _with_full_id(parts: "tuple[str, ...]") -> "tuple[str, ...]":
    """Parts of a pathspec, in which the task may be named by its index path alone: ``fit/3-1``."""
    if len(parts) < _TASK_DEPTH:
        return parts
    return parts[:3] + (full_id(parts[2], parts[3]),) + parts[4:]


def _class_of(depth: int) -> "type[StoredObject]":
    module, name = _CLASSES[depth - 1]
    found: "type[StoredObject]" = getattr(
        importlib.import_module("airflow_conda_flow.client." + module), name
    )
    return found


def restored(
    kind: "type[StoredObject]",
    pathspec: str,
    attempt: "int | None",
    where: "str | None",
    in_namespace: "str | None",
) -> "Any":
    """Object of a datastore, created without reading it; reading starts when a property needs it."""
    made = kind.__new__(kind)
    made._begin(kind._parsed(pathspec), attempt, scope.catalogue(where), in_namespace)
    return made


def local_time(text: str) -> "datetime":
    """Time of a manifest as Metaflow returns times: in this machine's time zone, without ``tzinfo``."""
    return stated_moment(text).astimezone().replace(tzinfo=None)
