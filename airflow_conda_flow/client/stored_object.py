"""What flows, runs, steps, tasks and artifacts have in common: a name, a parent, children, tags."""

import importlib
from datetime import datetime, timezone

from airflow_conda_flow.client import scope
from airflow_conda_flow.client.dag_runs import run_id_of
from airflow_conda_flow.errors import ClientError, InvalidPathspec, NamespaceMismatch, ObjectNotFound
from airflow_conda_flow.flow.current_run import current
from airflow_conda_flow.flow.decorators.base import nearest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from airflow_conda_flow.client.scope import Catalogue
    from airflow_conda_flow.records.run_record import TaggedRun

PARTS = ("FlowName", "RunID", "StepName", "TaskID", "ArtifactName")
_RUN_DEPTH = 2
_TASK_DEPTH = 4
BATCH = 200
"""How many runs or tasks are read at once where many are."""

_CLASSES = (
    ("past_flow", "Flow"),
    ("past_run", "Run"),
    ("past_step", "Step"),
    ("past_task", "Task"),
    ("data_artifact", "DataArtifact"),
)
"""Module and name of the class of each depth. The modules of children are imported by those of their
parents, so a parent's is imported when it is asked for."""


class StoredObject:
    """Something of a past run, by its pathspec, such as ``TrainFlow/1795547131171801/start``.

    Its children are read when they are asked for: ``for child in it``, ``it["id"]``, ``"id" in it``.

    Args:
        pathspec: its name.
        attempt: which attempt of a task; the one that counts if None.
        _namespace_check: False shows it, and all in it, whatever the namespace.

    Raises:
        InvalidPathspec: the pathspec is not one of this kind.
        ObjectNotFound: there is none of that name.
        NamespaceMismatch: it is not in the namespace that is selected.
    """

    depth = 0
    """How many parts its pathspec has."""

    def __init__(self, pathspec: str, attempt: "int | None" = None, _namespace_check: bool = True) -> None:
        in_namespace = scope.get_namespace() if _namespace_check else None
        self._begin(self._parsed(pathspec), attempt, scope.catalogue(), in_namespace)
        if attempt is not None and self.depth < _TASK_DEPTH:
            raise ClientError("%s: an attempt is one of a Task or a DataArtifact." % type(self).__name__)
        try:
            self._load_unless_running()
        except ObjectNotFound:
            if not self._take_dag_run():
                raise
            self._load_unless_running()
        if not self.is_in_namespace():
            raise NamespaceMismatch(
                "%r is not in the namespace %r; its tags are: %s. Show all runs with namespace(None)."
                % (self, self._namespace, ", ".join(sorted(self.tags)))
            )

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
        self._parts = parts
        self._attempt = attempt
        self._catalogue = catalogue
        self._namespace = in_namespace

    @classmethod
    def _of(cls, parent: "StoredObject", name: str, attempt: "int | None" = None) -> "Any":
        """An object that is known to exist, without reading it."""
        made = cls.__new__(cls)
        made._begin(parent._parts + (name,), attempt, parent._catalogue, parent._namespace)
        made._parent = parent
        return made

    def _is_running(self) -> bool:
        """Whether it is the task that the calling code is part of, which is stored when it ends."""
        return bool(current.is_running_flow and self.pathspec == current.pathspec)

    def _load_unless_running(self) -> None:
        if not self._is_running():
            self._load()

    def _take_dag_run(self) -> bool:
        """Put the run in place of the id of its DAG run; False if there is no such DAG run."""
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

    # What a kind of object answers.

    def _load(self) -> None:
        """Read what shows that it is there; ``ObjectNotFound`` if it is not."""
        raise NotImplementedError

    def _children(self) -> "Iterator[StoredObject]":
        """All children, whatever their namespace."""
        raise NotImplementedError

    def _child(self, name: str) -> "StoredObject | None":
        """The child of that name, or None."""
        raise NotImplementedError

    def _run_record(self) -> "TaggedRun":
        """The record of the run that it is part of, with its tags of now."""
        return self.parent._run_record()  # type: ignore[no-any-return]

    # What all have.

    @property
    def id(self) -> str:
        """The last part of its pathspec."""
        return self._parts[-1]

    @property
    def pathspec(self) -> str:
        """Its name, with those of what it is part of before it."""
        return "/".join(self._parts)

    @property
    def path_components(self) -> "list[str]":
        """The parts of its pathspec."""
        return list(self._parts)

    @property
    def parent(self) -> "Any":
        """What it is part of; None for a flow."""
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
        """Its run's tags: those that people gave it, and the system's."""
        return self.user_tags | self.system_tags

    @property
    def user_tags(self) -> "frozenset[str]":
        """The tags that people gave its run."""
        return frozenset(self._run_record().user_tags)

    @property
    def system_tags(self) -> "frozenset[str]":
        """The tags that say where its run comes from."""
        return frozenset(self._run_record().system_tags)

    @property
    def origin_pathspec(self) -> "str | None":
        """The pathspec of what it was cloned from by ``resume``; None if it was not."""
        origin = self.parent.origin_pathspec if self.depth > 1 else None
        return None if origin is None else "%s/%s" % (origin, self.id)

    def is_in_namespace(self) -> bool:
        """Whether the namespace that was selected when it was made shows it."""
        return self._namespace is None or self._namespace in self.tags

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
    """An object of a datastore, of which nothing is read before it is asked for something."""
    made = kind.__new__(kind)
    made._begin(kind._parsed(pathspec), attempt, scope.catalogue(where), in_namespace)
    return made


def local_time(text: str) -> "datetime":
    """A manifest's time as the field gives times: in this machine's zone, without naming it."""
    moment = datetime.strptime(text.replace("+00:00", ""), "%Y-%m-%dT%H:%M:%S.%f")  # noqa: DTZ007 - next line
    return moment.replace(tzinfo=timezone.utc).astimezone().replace(tzinfo=None)
