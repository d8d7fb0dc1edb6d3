"""Every key in a datastore, with one function for each kind.

    flows/<Flow>/<run>/run.json                        run manifest
    flows/<Flow>/<run>/run-<sha256>.json               revision of it, for tasks that were cleared
    flows/<Flow>/<run>/run.alive                       written now and then while tasks of the run run
    flows/<Flow>/<run>/<step>/<indices>/<attempt>.json task manifest
    flows/<Flow>/<run>/<step>/<indices>/<attempt>.stdout|stderr
    flows/<Flow>/<run>/<step>/<indices>/<attempt>.address where the main node of a num_parallel runs
    flows/<Flow>/<run>/<step>/<indices>/<attempt>.<card name>.card.html
    flows/<Flow>/<run>/<step>/<indices>/<attempt>.<card name>.card.data data update of a live card
    tags/<Flow>/<run>/<time>-<random>.json             one change of the run's tags
    artifacts/<first two hex digits>/<sha256>          serialized values
    code/<sha256>.zip                                  code packages
    environments/<platform>/<spec id>.lock             locks
    environments/<platform>/<spec id>.packed           which archive holds the environment ready-made
    environments/<platform>/<sha256>.tar.zst           environments, packed for containers
    packages/<sha256>/<file name>                      conda packages and wheels
    jobs/<region>/<name>                               who registers a job definition of AWS Batch
    runners/<platform>/<runner id>.json                which archive is the runner of that id
    runners/<platform>/<sha256>.tar.gz                 runners, for images that hold none
    data/<Flow>/<run>/...                              what steps store with ``S3(run=self)``
    prunes/notices/<mark>.json                         notice of a prune that is under way
    prunes/removals/<Flow>/<run>.json                  note that a run is being removed

The id of a task is ``<step>-<indices>``: ``fit-3-1`` is stored below ``fit/3-1/``.

In names that come from outside (flow, run, step) all characters but letters, digits and ``_ - . ~ : + =``
are percent-encoded; ``name_of`` decodes them.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote

from airflow_conda_flow.records.names import full_id, whole_number

if TYPE_CHECKING:
    from airflow_conda_flow.records.names import AttemptName, TaskName

_SAFE = ":+=~"  # ids of Airflow's runs contain times such as 2026-11-24T02:00:00+00:00: keep them readable
_SHA256 = re.compile(r"[0-9a-f]{64}")

FLOWS = "flows"
ARTIFACTS = "artifacts/"
CODE = "code/"
PACKAGES = "packages/"
RUNNERS = "runners/"
TAGS = "tags/"
DATA = "data/"
JOBS = "jobs/"
PRUNES = "prunes/"
PRUNE_NOTICES = "prunes/notices/"
REMOVALS = "prunes/removals/"
ENVIRONMENTS = "environments/"
OWN_FOLDERS = frozenset([f"{FLOWS}/", ARTIFACTS, CODE, ENVIRONMENTS, PACKAGES, RUNNERS, TAGS, JOBS, PRUNES])
"""Every folder of a datastore but that of the flows' own objects, ``DATA``."""
RUN_MANIFEST_NAME = "run.json"
TASK_MANIFEST_SUFFIX = ".json"
_REVISION = "run-"  # no step is called so: it is not an identifier
_REVISION_NAME = re.compile(r"run-([0-9a-f]{64})\.json")
_CARD = ".card.html"


def part(name: str) -> str:
    """``name`` encoded as one part of a key: without ``/``, and without a dot at its start.

    >>> part("manual__2026-11-24T02:00:00+00:00")
    'manual__2026-11-24T02:00:00+00:00'
    >>> part("../a b")
    '%2E.%2Fa%20b'
    >>> part("a" + chr(0xDC80))
    'a%ED%B2%80'
    """
    if not name:
        raise ValueError("A part of a datastore key must not be empty.")
    # A word of the command line that is not UTF-8 has lone surrogates. Nothing is stored under such a name.
    encoded = quote(name, safe=_SAFE, errors="surrogatepass")
    return "%2E" + encoded[1:] if encoded.startswith(".") else encoded


def name_of(encoded: str) -> str:
    """Name that ``part`` encoded.

    >>> name_of(part("../a b"))
    '../a b'
    """
    return unquote(encoded)


def _digest(sha256: str) -> str:
    if not _SHA256.fullmatch(sha256):
        raise ValueError(f"Expected a SHA-256 of 64 lower-case hex digits, got {sha256!r}.")
    return sha256


def flow_folder(flow: str) -> str:
    """Folder with a folder for every run of the flow."""
    return f"{FLOWS}/{part(flow)}/"


def run_folder(flow: str, run_id: str) -> str:
    """Folder with the run manifest and a folder for every step."""
    return f"{flow_folder(flow)}{part(run_id)}/"


def run_manifest(flow: str, run_id: str) -> str:
    """Key of a run's manifest."""
    return run_folder(flow, run_id) + RUN_MANIFEST_NAME


def sign_of_life(flow: str, run_id: str) -> str:
    """Key whose age says when a task of the run was last running, if that is long after it was prepared.

    Its content says whether the run has ended without coming to its end step.
    """
    return run_folder(flow, run_id) + "run.alive"


def run_revision(flow: str, run_id: str, sha256: str) -> str:
    """Key of a revision of a run's manifest, by the digest of its bytes."""
    return f"{run_folder(flow, run_id)}{_REVISION}{_digest(sha256)}{TASK_MANIFEST_SUFFIX}"


def revision_of(name: str) -> str | None:
    """Digest of the revision whose key ends with ``name``; None if the name is not a revision's."""
    found = _REVISION_NAME.fullmatch(name)
    return found[1] if found else None


def step_folder(flow: str, run_id: str, step: str) -> str:
    """Folder with a folder for every task of the step."""
    return f"{run_folder(flow, run_id)}{part(step)}/"


def task_folder(task: TaskName) -> str:
    """Folder with the manifests, logs, cards and node addresses of a task's attempts."""
    return f"{step_folder(task.flow, task.run_id, task.step)}{part(task.path)}/"


def task_manifest(name: AttemptName) -> str:
    """Key of one attempt's manifest."""
    return f"{task_folder(name.task)}{name.number}{TASK_MANIFEST_SUFFIX}"


def task_log(name: AttemptName, stream: str) -> str:
    """Key of one attempt's log of ``stream``, ``"stdout"`` or ``"stderr"``."""
    return f"{task_folder(name.task)}{name.number}.{stream}"


def node_address(name: AttemptName) -> str:
    """Key of the address of a ``num_parallel``'s main node, stored by its attempt."""
    return f"{task_folder(name.task)}{name.number}.address"


def tag_folders(flow: str) -> str:
    """Folder with a folder for every run whose tags were changed."""
    return f"tags/{part(flow)}/"


def tag_folder(flow: str, run_id: str) -> str:
    """Folder with every change of a run's tags."""
    return f"{tag_folders(flow)}{part(run_id)}/"


def tag_change(flow: str, run_id: str, name: str) -> str:
    """Key of one change of a run's tags; ``name`` must sort by time."""
    return f"{tag_folder(flow, run_id)}{name}.json"


def locks(platform: str = "") -> str:
    """Folder of one platform's locks and packed environments; without a platform the folder of all these."""
    return f"{ENVIRONMENTS}{part(platform)}/" if platform else ENVIRONMENTS


def card(name: AttemptName, card_name: str) -> str:
    """Key of one card of an attempt, an HTML page."""
    return f"{task_folder(name.task)}{name.number}.{part(card_name)}{_CARD}"


def card_data(name: AttemptName, card_name: str) -> str:
    """Key of the last data update of a card, as JSON."""
    return f"{task_folder(name.task)}{name.number}.{part(card_name)}.card.data"


def card_of(key: str) -> tuple[str, str, int, str] | None:
    """(step, task id, attempt, card name) of a card's key; None for any other key.

    >>> from airflow_conda_flow.records.names import TaskName
    >>> attempt = TaskName("AFlow", "1", "start", "0").attempt(2)
    >>> card_of(card(attempt, "a.b"))
    ('start', 'start-0', 2, 'a.b')
    >>> card_of(task_log(attempt, "stdout"))
    """
    *_, step, path, name = key.split("/")
    attempt, _, rest = name.partition(".")
    card_id = rest.removesuffix(_CARD)
    number = whole_number(attempt)
    if card_id == rest or number is None:
        return None
    return name_of(step), full_id(name_of(step), name_of(path)), number, name_of(card_id)


def artifact(sha256: str) -> str:
    """Key of a serialized value."""
    return f"artifacts/{_digest(sha256)[:2]}/{sha256}"


def code_package(sha256: str) -> str:
    """Key of a code package."""
    return f"code/{_digest(sha256)}.zip"


def lock(platform: str, spec_id: str) -> str:
    """Key of an environment's lock."""
    return f"{ENVIRONMENTS}{part(platform)}/{part(spec_id)}.lock"


def lock_of(key: str) -> tuple[str, str]:
    """(platform, spec id) of a lock's key.

    >>> lock_of(lock("linux-64", "ab"))
    ('linux-64', 'ab')
    """
    _, platform, name = key.split("/")
    return name_of(platform), name_of(name.removesuffix(".lock"))


def packed_environment(platform: str, spec_id: str) -> str:
    """Key of the JSON document that names the archive of a packed environment."""
    return f"{ENVIRONMENTS}{part(platform)}/{part(spec_id)}.packed"


def environment_archive(platform: str, sha256: str) -> str:
    """Key of the archive of a packed environment."""
    return f"{ENVIRONMENTS}{part(platform)}/{_digest(sha256)}.tar.zst"


def package(sha256: str, file_name: str) -> str:
    """Key of a conda package or a wheel."""
    return f"packages/{_digest(sha256)}/{part(file_name)}"


def job_definition_claim(region: str, name: str) -> str:
    """Key that a process stores to claim the registration of a job definition of AWS Batch."""
    return f"jobs/{part(region)}/{part(name)}"


def runner_pointer(platform: str, runner_id: str) -> str:
    """Key of the JSON document that names the archive of a runner."""
    return f"runners/{part(platform)}/{_digest(runner_id)}.json"


def runner_archive(platform: str, sha256: str) -> str:
    """Key of a runner's archive; ``runner/bootstrap.py`` takes the sha256 to verify from its name."""
    return f"runners/{part(platform)}/{_digest(sha256)}.tar.gz"


def data_folder(flow: str, run_id: str) -> str:
    """Folder with what steps of a run store with ``S3(run=self)``, unless a setting names another place.

    The client joins the names as they are.
    """
    return f"{DATA}{flow}/{run_id}/"


def prune_notice(mark: str) -> str:
    """Key of the notice of a prune."""
    return f"{PRUNE_NOTICES}{mark}.json"


def removal(flow: str, run_id: str) -> str:
    """Key of the note that a run is being removed."""
    return f"{REMOVALS}{part(flow)}/{part(run_id)}.json"


def removal_of(key: str) -> tuple[str, str]:
    """(flow, run id) of a note's key.

    >>> removal_of(removal("AFlow", "a/b"))
    ('AFlow', 'a/b')
    """
    *_, flow, name = key.split("/")
    return name_of(flow), name_of(name.removesuffix(".json"))
