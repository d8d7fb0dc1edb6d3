"""Types of all stored documents and of all messages between processes.

Only type checkers and the tests import this file. All other modules import it under ``TYPE_CHECKING``,
because Python 3.6 and 3.7 have no ``TypedDict``. docs/architecture.md describes the same keys; a test
compares the two.

A class whose name begins with an underscore has the keys that every document of its kind contains; the
class derived from it adds keys that some documents lack.
"""

from typing import Any, Literal, TypedDict

# Parts of documents.


class ArtifactRef(TypedDict):
    """A reference to a stored value."""

    sha256: str
    """Digest of the serialized bytes, in lower-case hex; also their name in the datastore."""
    size: int
    """Number of bytes."""
    type: str
    """Full name of the value's type, such as ``builtins.dict``."""
    protocol: int
    """Pickle protocol of the bytes."""
    preview: str | None
    """Short ``repr`` of a plain value, for lists of artifacts; None for any other value."""


class ExceptionRecord(TypedDict):
    """A failure as texts. Never a pickled exception: its class may not be importable where it is read."""

    type: str
    full_type: str
    message: str
    traceback: str


class CardRecord(TypedDict):
    """A card that an attempt has stored."""

    name: str
    """Name of its page among those of the attempt."""
    id: str | None
    """Id that ``@card`` gives it."""
    type: str


class ClonedFrom(TypedDict):
    """The attempt that a clone was made from, which keeps its logs and cards."""

    run_id: str
    attempt: int


class _Transition(TypedDict):
    next: list[str]
    """Names of the next steps."""
    foreach: str | None
    """Attribute that a foreach runs over; ``num_parallel`` for a ``num_parallel``."""
    num_splits: int | None
    split_names: list[str] | None
    """Readable name of every split."""
    condition: str | None
    """Attribute that a switch reads."""
    chosen: str | None
    """Step that a switch chose."""


class Transition(_Transition, total=False):
    """Meaning of ``self.next``. Only a foreach has the keys that this class adds."""

    splits: ArtifactRef
    """The list of all values."""
    block_length: int
    """Number of values in a block. Only a foreach over long values is stored in blocks too."""
    blocks: list[ArtifactRef]
    """The same values in blocks, so that a split reads one of them and not the whole list."""


class PackedRef(TypedDict):
    """The archive of a packed environment."""

    prefix: str
    """The only path at which the environment works."""
    sha256: str
    """Digest of the archive, in lower-case hex; also its name in the datastore."""
    size: int
    """Number of bytes of the archive."""


class _EnvironmentRef(TypedDict):
    python: str
    id: str
    """Spec id: digest of the environment's requirements."""
    platform: str
    """conda platform, such as ``linux-64``."""


class EnvironmentRef(_EnvironmentRef, total=False):
    """A step's environment. The keys added here are missing in runs of early versions.

    The first two are missing for the steps that ``spin`` does not run, too.
    """

    lock: str
    """SHA-256 of the stored lock, in lower-case hex."""
    packed: PackedRef | None
    """Archive for containers; None if there is none."""
    stated: dict[str, str]
    """Versions that the flow states, by package; the environment has more packages than these."""


class CodeRef(TypedDict):
    """A run's code package."""

    sha256: str
    flow_file: str
    """Path of the flow file inside the package."""


class UserDecoratorRecord(TypedDict):
    """Use of a user-defined decorator."""

    module: str
    """Module that defines it; empty for the flow file itself."""
    name: str
    arguments: list[Any] | None
    """Positional and named arguments; None if it is used without parentheses."""


class NodeDocument(TypedDict):
    """One step of a stored graph; ``records.graph.StepNode`` describes the keys."""

    name: str
    kind: str
    out_steps: list[str]
    in_steps: list[str]
    foreach: str | None
    condition: str | None
    switch_cases: list[list[Any]]
    is_join: bool
    num_parallel: bool
    conditional: bool
    split_parents: list[str]
    matching_join: str | None
    line: int
    doc: str


class GraphDocument(TypedDict):
    """A stored graph; ``records.graph.FlowGraph`` describes the keys."""

    name: str
    line: int
    doc: str
    start: str
    end: str
    steps: list[NodeDocument]


# Stored documents.


class RunRecordRef(TypedDict):
    """A run's record, as somebody has read it."""

    sha256: str
    """Digest of the record's stored bytes."""
    created: str
    """ISO 8601, UTC, with microseconds."""
    code: CodeRef


class _RunManifest(TypedDict):
    version: int
    flow: str
    run_id: str
    created: str
    """ISO 8601, UTC, with microseconds."""
    origin: Literal["local", "airflow"]
    """Scheduler of the run's tasks."""
    username: str
    tags: list[str]
    system_tags: list[str]
    graph: GraphDocument
    decorators: dict[str, dict[str, Any]]
    """By step: attributes by decorator's name."""
    user_decorators: dict[str, list[UserDecoratorRecord]]
    """By step: user-defined decorators."""
    mutated_with: list[str] | None
    """Texts of ``--with`` that mutators saw in their second half; null without mutators."""
    current: dict[str, Any]
    """Values of ``current`` that come from the DAG run and the project."""
    code: CodeRef
    environment: Literal["conda", "local"]
    """``local``: steps run in the interpreter of the runner."""
    environments: dict[str, EnvironmentRef]
    """By step; steps without an environment of their own are absent."""
    runner: str | None
    """SHA-256 of the runner's archive, for jobs whose image may lack the runner; None if no step has one."""
    pickle_protocols: dict[str, int]
    """By step: newest protocol that the step and all later steps can read."""
    first_attempt: int
    """Number of every task's first attempt; above 0 if Airflow created a run again under its old id."""
    parameters: dict[str, ArtifactRef]
    """Parameters and configs."""
    constants: dict[str, ArtifactRef]
    """Values that the class assigns."""
    call: ArtifactRef | None
    """Positional arguments and keywords that the flow object is made with."""
    namespace: str
    """Tag of the runs that the client shows in steps."""
    origin_run_id: str | None
    """Id of the run that was resumed."""
    datatools_root: str | None
    """URL below which ``S3(run=...)`` works."""


class RunManifest(_RunManifest, total=False):
    """A run, written before any of its tasks; ``records.run_record`` reads it."""

    revision_of: RunRecordRef
    """Only in a revision: the record as the run was prepared."""


class TaggedRunDocument(RunManifest):
    """A run manifest with the current tags, made for the client; never stored."""

    user_tags: list[str]


class _TaskManifest(TypedDict):
    version: int
    flow: str
    run_id: str
    step: str
    task_id: str
    attempt: int
    status: Literal["running", "done", "failed", "lost"]
    """``running`` is shown on cards only, never stored; ``lost`` marks an attempt 0 that left nothing."""
    started: str
    """ISO 8601, UTC, with microseconds."""
    finished: str | None
    split_name: str | None
    """Readable names of the splits around the task, outermost first, joined by `` / ``."""
    artifacts: dict[str, ArtifactRef]
    """The whole namespace of the task: its own artifacts and the inherited ones."""
    transition: Transition | None
    """None for the last step, and if the attempt failed."""
    exception: ExceptionRecord | None
    """The failure of the attempt, also one that ``@catch`` caught."""
    run_record: RunRecordRef | None
    """The run's record that the attempt ran by; null if it is not known."""
    environment: str | None
    """Spec id."""
    python: str | None
    seconds: dict[str, float]
    """Duration of each phase of the attempt, by its name; empty if it is not known."""
    cards: list[CardRecord]


class TaskManifest(_TaskManifest, total=False):
    """One attempt of a task; written last, so it is the commit. ``task_record`` makes and reads it."""

    cloned_from: ClonedFrom
    """Only in a clone: the attempt that ran."""
    superseded_by: int
    """Only in attempt 0: number of the later attempt that is done."""


class TagChange(TypedDict):
    """One change of a run's tags."""

    version: int
    add: list[str]
    remove: list[str]


class LockDocument(TypedDict):
    """The packages of an environment; ``environments.lock`` makes and reads them."""

    version: int
    spec_id: str
    platform: str
    packages: list[dict[str, Any]]


class _PackedDocument(TypedDict):
    version: int
    spec_id: str
    platform: str


class PackedDocument(_PackedDocument, total=False):
    """The archive of a packed environment, or a note that it is damaged."""

    prefix: str
    """The only path at which the environment works."""
    sha256: str
    size: int
    """Number of bytes of the archive."""
    withdrawn: str
    """Digest of an archive that was damaged; the other keys of this class are absent then."""


class RunnerDocument(TypedDict):
    """The archive of a packed runner."""

    version: int
    runner_id: str
    sha256: str
    size: int


class PruneNotice(TypedDict):
    """Notice of a prune that is under way; ``datastore.keeping`` says who reads it."""

    version: int
    grace: float
    """Seconds: the prune removes nothing that is younger."""


class RemovalDocument(TypedDict):
    """Note that a run is being removed, so that the next prune continues a removal that was interrupted."""

    version: int
    flow: str
    run_id: str
    manifest: str
    """SHA-256 of the run's manifest, in hex; empty if it has none that can be read."""


class ChecksumDocument(TypedDict):
    """The last key of every stored document; readers remove it (``records.document``)."""

    checksum: str
    """SHA-256, in hex, of the document's bytes up to the comma before this key."""


# Messages from the runner to its step process.


class _Frame(TypedDict):
    index: int
    num_splits: int
    splits: ArtifactRef
    name: str


class Frame(_Frame, total=False):
    """One foreach around a task, and the split that the task belongs to."""

    position: int
    """Index of the split's value in ``splits``, if that is a block and not the whole list."""


class InputDescription(TypedDict):
    """One input of a join."""

    step: str
    task_id: str
    artifacts: dict[str, ArtifactRef]
    frames: list[Frame]
    """Foreach frames around the input that end at the join."""


class NodeSummary(TypedDict):
    """The part of a ``NodeDocument`` that the step process checks ``self.next`` against."""

    kind: str
    out_steps: list[str]
    foreach: str | None
    condition: str | None
    num_parallel: bool
    line: int


class S3Access(TypedDict):
    """Access of a step's S3 client to the runner."""

    socket: str | None
    """Path of a Unix socket; None if none could be made."""
    root: str | None
    """URL below which ``S3(run=...)`` works."""
    scratch: str
    """Directory for the files of objects that are transferred."""


class _TaskMessage(TypedDict):
    type: Literal["task"]
    version: int
    """Version of the protocol; a step process refuses any but its own."""
    flow: str
    flow_file: str
    code_dir: str
    """Directory that the flow's modules take for their own."""
    stored_dir: str
    """Directory of the extracted code package, which their text comes from."""
    step: str
    node: NodeSummary
    namespace: dict[str, ArtifactRef]
    """Artifacts that the step begins with."""
    inputs: list[InputDescription] | None
    """Only for a join."""
    foreach_stack: list[Frame]
    """Outermost first."""
    pickle_protocol: int
    scratch: str
    """Directory for artifacts, which the runner publishes."""
    timeout: float | None
    """Seconds."""
    cards: list[dict[str, Any]]
    """Attributes of every ``@card`` of the step."""
    catch_var: str | None
    is_caught: bool
    """Whether ``@catch`` catches a failure of this attempt: it has ``@catch`` and is the last one."""
    current: dict[str, Any]
    """Values of ``current``."""
    s3: S3Access


class TaskMessage(_TaskMessage, total=False):
    """The first message, sent once: everything that the step process needs."""

    user_decorators: list[UserDecoratorRecord]
    mutated_with: list[str]
    """Given if the flow has mutators, which run in the step's process too."""
    modules: dict[str, str]
    """File or directory that each module takes for its own that is not below ``code_dir``."""
    call: ArtifactRef
    """Arguments that the flow object is made with."""
    overlay: str
    """Folder for what the step installs while it runs; see ``runtime/overlay.py``."""


class ArtifactMessage(TypedDict):
    """Answer to ``fetch``: a verified file, which must not be changed."""

    type: Literal["artifact"]
    path: str


class AnswerMessage(TypedDict):
    """Answer to ``ask``, and to requests of the S3 client."""

    type: Literal["answer"]
    value: Any


class ErrorMessage(TypedDict):
    """Answer to a ``fetch``, an ``ask`` or a request of the S3 client that failed."""

    type: Literal["error"]
    message: str
    error: str
    """Name of one of our error classes."""


# Messages from a step process to its runner.


class FetchMessage(TypedDict):
    """Request for an artifact's file; answered by ``artifact`` or ``error``."""

    type: Literal["fetch"]
    sha256: str
    size: int


class AskMessage(TypedDict):
    """Question about past runs; answered by ``answer`` or ``error``."""

    type: Literal["ask"]
    call: str
    """Method of ``datastore.catalogue.RunCatalogue``."""
    arguments: list[Any]


class PublishMessage(TypedDict):
    """Notice that an artifact's file is complete and now belongs to the runner; not answered."""

    type: Literal["publish"]
    path: str
    sha256: str
    size: int


class ClockMessage(TypedDict):
    """Notice that the step will end itself within a number of seconds; not answered."""

    type: Literal["clock"]
    seconds: float | None
    """None: the step has no limit any more."""


class CardContent(TypedDict, total=False):
    """Content of one card."""

    id: str | None
    parts: list[dict[str, Any]]
    html: str | None
    """A page that the step rendered itself."""
    kind: str
    """Built-in type whose page shows the parts, if it is not that of ``@card``."""
    data: str | None
    """Data update of a live card, as JSON."""
    is_none: bool
    """True if this card must not be stored."""


class CardsMessage(TypedDict):
    """Contents of the step's cards; not answered."""

    type: Literal["cards"]
    cards: list[CardContent]
    is_last: bool


class DoneMessage(TypedDict):
    """Notice that the step returned. Every artifact in it was published, or stored before."""

    type: Literal["done"]
    artifacts: dict[str, ArtifactRef]
    transition: Transition | None
    python: str


class _FailedMessage(TypedDict):
    type: Literal["failed"]
    exception: ExceptionRecord
    python: str


class FailedMessage(_FailedMessage, total=False):
    """Notice that the step raised an exception."""

    artifacts: dict[str, ArtifactRef]
    """Under ``@catch``: the artifacts that the failed step passes on."""


class S3Request(TypedDict):
    """Request of a step's S3 client, on a separate socket; answered by ``answer`` or ``error``."""

    call: str
    """Method of ``datastore.s3_objects.S3Objects``."""
    arguments: list[Any]


class TaskRequestDocument(TypedDict):
    """Request to run an attempt in a container: the argument of ``runner run``."""

    version: int
    """Version of this document; a runner refuses any but its own."""
    flow: str
    run_id: str
    step: str
    indices: list[int]
    attempt: int
    is_last: bool
    run_sha256: str | None
    """SHA-256 of the run manifest's bytes; None for a run of a version that recorded none."""
    inputs_sha256: str | None
    """SHA-256 over the manifests of the tasks before it; None if the sender has not seen them end."""
    gang_key: str | None
    """Secret that the nodes of a ``num_parallel`` share; None for other tasks."""
    tells: bool
    """Whether the attempt prints lines about itself."""


# Messages by the role that they have in the exchange of a runner and its step process.
Answer = ArtifactMessage | AnswerMessage | ErrorMessage
Question = FetchMessage | AskMessage
LastMessage = DoneMessage | FailedMessage
StepMessage = Question | PublishMessage | ClockMessage | CardsMessage | LastMessage
