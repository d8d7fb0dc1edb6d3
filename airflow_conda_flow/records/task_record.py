"""``TaskRecord``: reads a task manifest. ``make_task_record``: the only function that makes one."""

import hashlib
import re

from airflow_conda_flow.errors import TaskLost
from airflow_conda_flow.records.card_names import current_card
from airflow_conda_flow.records.document import stored_bytes
from airflow_conda_flow.records.kinds import (
    Each,
    OrNull,
    Shape,
    is_attempt,
    is_count,
    is_duration,
    is_identifier,
    is_time,
)
from airflow_conda_flow.records.names import AttemptName, TaskName, full_id
from airflow_conda_flow.records.run_record import ARTIFACT, RUN_RECORD_REF

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from airflow_conda_flow.records.shapes import (
        ArtifactRef,
        CardRecord,
        EnvironmentRef,
        ExceptionRecord,
        Frame,
        RunRecordRef,
        TaskManifest,
        Transition,
    )

TASK_VERSION = 2
"""Version of task manifests.

In version 1, ``task_id`` was the index path, cards had no ``name``, and there were no ``seconds`` and no
``run_record``.
"""

RUNNING = "running"
DONE = "done"
FAILED = "failed"
LOST = "lost"
"""Status of an attempt 0 that left no manifest; the mark of a later attempt is stored in its place."""


_TEXT = re.compile(r"[^\x00\ud800-\udfff]{1,500}")
# Keys that every version has written, first those of the mark that a lost attempt 0 carries.
_MARK_SHAPE = Shape(
    {
        "flow": str,
        "run_id": str,
        "step": is_identifier,
        "task_id": str,
        "attempt": is_attempt,
        "status": re.compile("%s|%s|%s" % (DONE, FAILED, LOST)),
    }
)
_SUPERSEDED = Shape({"superseded_by": is_attempt})
_TRANSITION = {
    "next": [is_identifier],
    "foreach?": OrNull(str),
    "num_splits": OrNull(is_count),
    "split_names": OrNull([str]),
    "condition?": OrNull(str),
    "chosen?": OrNull(str),
    "splits?": ARTIFACT,
    "block_length?": is_count,
    "blocks?": [ARTIFACT],
}
# Early versions have not written the keys with a question mark.
_SHAPE = Shape(
    {
        "started": is_time,
        "finished": OrNull(is_time),
        "split_name?": OrNull(str),
        "artifacts": Each(ARTIFACT),
        "transition": OrNull(_TRANSITION),
        "exception?": OrNull({"type": str, "full_type": str, "message": str, "traceback": str}),
        "run_record?": OrNull(RUN_RECORD_REF),
        "environment?": OrNull(re.compile("[!-~]+")),
        "python?": OrNull(str),
        "seconds?": Each(is_duration),
        "cards?": [{"name?": _TEXT, "id": OrNull(str), "type": str}],
        "cloned_from?": {"run_id": _TEXT, "attempt": is_attempt},
    }
)


def wrong_task_manifest(document: "dict[str, Any]") -> "str | None":
    """A few words about what no version has written like this; None if there is nothing."""
    fault = _MARK_SHAPE.fault(document)
    if fault:
        return fault
    if "superseded_by" in document or document["status"] == LOST:
        fault = _SUPERSEDED.fault(document)
        if fault or document["status"] == LOST:
            return fault
    return _SHAPE.fault(document) or next(_wrong_parts(document), None)


def _wrong_parts(document: "dict[str, Any]") -> "Iterator[str]":
    for card in document.get("cards", []):
        if not card.get("name", card["id"]):
            yield "it has a card without a name"
    transition = document["transition"]
    if transition is None:
        return
    chosen, names, count = transition.get("chosen"), transition["split_names"], transition["num_splits"]
    if chosen is not None and transition["next"] != [chosen]:
        yield "its switch chose %r, and it leads to another step" % chosen
    if count != (None if names is None else len(names)):
        yield "its num_splits is %r, with other names of splits" % count
    if count is None:
        return
    if len(transition["next"]) != 1 or "splits" not in transition:
        yield "its foreach leads to several steps, or has no values"
    length, blocks = transition.get("block_length", count), transition.get("blocks", [None])
    if ("blocks" in transition) != ("block_length" in transition) or len(blocks) * length < count:
        yield "its blocks do not hold all values"


def current_task_manifest(document: "Any") -> "TaskManifest":
    """Manifest of any version in the form of the current one."""
    task_id = full_id(document["step"], document["task_id"])
    found: "Any" = dict(document, version=TASK_VERSION, task_id=task_id)
    if found["status"] != LOST:
        found.setdefault("seconds", {})
        found.setdefault("run_record", None)
    if "cards" in found:
        found["cards"] = [current_card(each) for each in found["cards"]]
    return found  # type: ignore[no-any-return]


def make_task_record(
    name: AttemptName,
    *,
    status: str,
    started: str,
    finished: "str | None",
    split_name: "str | None",
    artifacts: "dict[str, ArtifactRef]",
    transition: "Transition | None",
    exception: "ExceptionRecord | None",
    run_record: "RunRecordRef | None",
    environment: "EnvironmentRef | None",
    python: "str | None",
    seconds: "dict[str, float]",
    cards: "list[CardRecord]",
) -> "TaskRecord":
    """Record of an attempt. No argument has a default, so that no writer forgets a fact.

    Args:
        name: the attempt.
        status: ``running``, ``done`` or ``failed``.
        started: start time as from ``datetime.isoformat``, in UTC.
        finished: end time likewise; None while the attempt runs.
        split_name: readable name of the task's splits; None outside any foreach.
        artifacts: the task's whole namespace.
        transition: the meaning of ``self.next``; None for the last step and for failures.
        exception: the failure, caught or not.
        run_record: the run's record that the attempt runs by; None if it is not known.
        environment: the step's environment, if it has its own.
        python: version of Python that the step ran on; that of the environment if None.
        seconds: duration of each phase of the attempt, by its name; empty if they are not known.
        cards: the cards that are stored.
    """
    document: "Any" = {
        "version": TASK_VERSION,
        "flow": name.task.flow,
        "run_id": name.task.run_id,
        "step": name.task.step,
        "task_id": name.task.task_id,
        "attempt": name.number,
        "status": status,
        "started": started,
        "finished": finished,
        "split_name": split_name,
        "artifacts": artifacts,
        "transition": transition,
        "exception": exception,
        "run_record": run_record,
        "environment": environment["id"] if environment else None,
        "python": python or (environment["python"] if environment else None),
        "seconds": seconds,
        "cards": cards,
    }
    return TaskRecord(document)


class TaskRecord:
    """Record of one attempt of a task.

    Attributes:
        document: the manifest as it is stored.
    """

    __slots__ = ("_sha256", "document")

    def __init__(self, document: "TaskManifest", sha256: "str | None" = None) -> None:
        self.document = document
        self._sha256 = sha256

    @property
    def sha256(self) -> str:
        """SHA-256, in hex, of the bytes that are stored for this record, or that it was read from."""
        if self._sha256 is None:
            self._sha256 = hashlib.sha256(stored_bytes(self.document)).hexdigest()
        return self._sha256

    @property
    def sha256_of_commit(self) -> str:
        """SHA-256 of the bytes that the attempt committed: without the mark of a later attempt."""
        rest = {key: value for key, value in self.document.items() if key != "superseded_by"}
        return hashlib.sha256(stored_bytes(rest)).hexdigest()

    # Which attempt.

    @property
    def name(self) -> AttemptName:
        """Name of the attempt."""
        return self.task.attempt(self.attempt)

    @property
    def task(self) -> TaskName:
        """Name of the task."""
        return TaskName(self.flow, self.run_id, self.step, self.task_id)

    @property
    def flow(self) -> str:
        """The flow's name."""
        return self.document["flow"]

    @property
    def run_id(self) -> str:
        """The run's id."""
        return self.document["run_id"]

    @property
    def step(self) -> str:
        """The step's name."""
        return self.document["step"]

    @property
    def task_id(self) -> str:
        """The task's id."""
        return self.document["task_id"]

    @property
    def superseded_by(self) -> "int | None":
        """In attempt 0: number of the later attempt that is done; else None."""
        return self.document.get("superseded_by")

    @property
    def attempt(self) -> int:
        """Number of the attempt, from 0."""
        return self.document["attempt"]

    @property
    def ran_as(self) -> AttemptName:
        """Name of the attempt that ran and has the logs and cards; of a clone, that in the original run."""
        origin = self.document.get("cloned_from")
        if origin is None:
            return self.name
        return self.task.in_run(origin["run_id"]).attempt(origin["attempt"])

    @property
    def is_clone(self) -> bool:
        """True if ``resume`` took the task over from another run."""
        return self.document.get("cloned_from") is not None

    # How it ended.

    @property
    def status(self) -> str:
        """Status: ``running``, ``done``, ``failed``, or ``lost``, which readers of manifests never return."""
        return self.document["status"]

    @property
    def is_done(self) -> bool:
        """True if the attempt succeeded, or its failure was caught."""
        return self.status == DONE

    @property
    def started(self) -> str:
        """Start time in ISO 8601 and UTC."""
        return self.document["started"]

    @property
    def finished(self) -> "str | None":
        """End time in ISO 8601 and UTC; None while the attempt runs."""
        return self.document["finished"]

    @property
    def exception(self) -> "ExceptionRecord | None":
        """The failure, caught or not; None if there was none."""
        return self.document.get("exception")

    @property
    def is_lost(self) -> bool:
        """True if the attempt failed because its machine, pod or job was taken away."""
        exception = self.exception
        return not self.is_done and exception is not None and exception["type"] == TaskLost.__name__

    @property
    def split_name(self) -> "str | None":
        """Readable names of the splits around the task, joined by `` / ``; None outside any foreach."""
        return self.document.get("split_name")

    @property
    def run_record(self) -> "RunRecordRef | None":
        """The run's record that the attempt ran by; None if it is not known."""
        return self.document.get("run_record")

    @property
    def environment(self) -> "str | None":
        """Spec id of the environment; None if the step had none of its own."""
        return self.document.get("environment")

    @property
    def python(self) -> "str | None":
        """Version of Python that the step ran on; None if it is not known."""
        return self.document.get("python")

    @property
    def seconds(self) -> "dict[str, float]":
        """Duration of each phase of the attempt, by its name; empty if it is not known."""
        return self.document.get("seconds", {})

    @property
    def rounds(self) -> "dict[str, float]":
        """Seconds of the rounds of a step that leads back to itself, by names such as ``round 2``.

        Rounds above a limit are together, as in ``rounds 101 to 250``. Empty for all other steps.
        """
        return {name: seconds for name, seconds in self.seconds.items() if name.startswith("round")}

    # Its artifacts and cards.

    @property
    def artifacts(self) -> "dict[str, ArtifactRef]":
        """References of the task's whole namespace, its own artifacts and the inherited ones, by name."""
        return self.document["artifacts"]

    @property
    def cards(self) -> "list[CardRecord]":
        """Cards that the attempt stored."""
        return self.document.get("cards", [])

    # Its transition.

    @property
    def transition(self) -> "Transition | None":
        """Meaning of ``self.next``; None for the last step and for failures."""
        return self.document["transition"]

    @property
    def next_steps(self) -> "list[str]":
        """Names of the next steps; empty without a transition."""
        return self.transition["next"] if self.transition else []

    @property
    def num_splits(self) -> "int | None":
        """Number of splits of the foreach that the task opens; None if it opens none."""
        return self.transition["num_splits"] if self.transition else None

    @property
    def chosen(self) -> "str | None":
        """Step that the task's switch chose; None without a switch."""
        return self.transition.get("chosen") if self.transition else None

    def frame(self, index: int) -> "Frame":
        """Frame of the foreach that the task opens, for the split at ``index``.

        Raises:
            LookupError: the task opens no foreach.
        """
        transition = self.transition
        if transition is None or transition["split_names"] is None:
            raise LookupError("Task %s opens no foreach." % self.task.pathspec)
        frame: "Any" = {
            "index": index,
            "num_splits": transition["num_splits"],
            "splits": transition["splits"],
            "name": transition["split_names"][index],
        }
        if "blocks" in transition:  # the split's value is read from its block, not from the whole list
            block, frame["position"] = divmod(index, transition["block_length"])
            frame["splits"] = transition["blocks"][block]
        return frame  # type: ignore[no-any-return]

    # Other records made of it.

    def clone(self, run_id: str) -> "TaskRecord":
        """Record of the same task in another run, which takes over this task's outputs."""
        # A clone of a clone names the attempt that ran, so that its logs are found without following a chain.
        ran_as = self.ran_as
        origin = {"run_id": ran_as.task.run_id, "attempt": ran_as.number}
        document: "Any" = dict(self.document, run_id=run_id, attempt=0, cloned_from=origin)
        document.pop("superseded_by", None)  # names an attempt of the original run
        return TaskRecord(document)

    def with_artifacts(self, artifacts: "dict[str, ArtifactRef]") -> "TaskRecord":
        """The record with these artifacts in place of its own."""
        document: "Any" = dict(self.document, artifacts=artifacts)
        return TaskRecord(document)

    def with_exception(self, exception: "ExceptionRecord") -> "TaskRecord":
        """The record with this failure in place of its own."""
        document: "Any" = dict(self.document, exception=exception)
        return TaskRecord(document)

    def with_cards(self, cards: "list[CardRecord]") -> "TaskRecord":
        """The record with these cards in place of its own."""
        document: "Any" = dict(self.document, cards=cards)
        return TaskRecord(document)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, TaskRecord) and self.document == other.document

    __hash__ = None  # type: ignore[assignment]  # its document may hold lists
