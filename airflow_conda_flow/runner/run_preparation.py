"""Preparation of a run, once before its first task: environments, code package, run manifest."""

from __future__ import annotations

import platform
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timezone
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, Literal

from airflow_conda_flow.datastore import code_package, layout
from airflow_conda_flow.datastore.datastore import Datastore
from airflow_conda_flow.datastore.included_objects import read_object_at
from airflow_conda_flow.datastore.manifests import keep_revision, read_run_manifest, write_run_manifest
from airflow_conda_flow.datastore.notice import warn
from airflow_conda_flow.datastore.storage import Storage
from airflow_conda_flow.datastore.tags import checked_tags, origin_tags
from airflow_conda_flow.environments.environments import Environments
from airflow_conda_flow.environments.lock import Lock
from airflow_conda_flow.environments.packed import PackedEnvironment
from airflow_conda_flow.environments.spec import EnvironmentSpec
from airflow_conda_flow.environments.step_specs import environment_specs
from airflow_conda_flow.environments.virtual_packages import check_this_machine
from airflow_conda_flow.errors import DamagedDocument, NotInDatastore
from airflow_conda_flow.flow.constants import flow_constants
from airflow_conda_flow.flow.definition import FlowDefinition
from airflow_conda_flow.flow.parameters.config_value import plain
from airflow_conda_flow.flow.parameters.include_file import FileToInclude
from airflow_conda_flow.flow.username import username
from airflow_conda_flow.records.document import VERSION
from airflow_conda_flow.records.names import whole_number
from airflow_conda_flow.records.run_record import RunRecord
from airflow_conda_flow.runner.code_sources import CodeSources
from airflow_conda_flow.runner.lacking_modules import lacking_modules
from airflow_conda_flow.runner.stored_values import store_values
from airflow_conda_flow.settings.loading import Settings

if TYPE_CHECKING:
    from airflow_conda_flow.records.shapes import ArtifactRef, EnvironmentRef, RunManifest

# First Python with pickle protocol 5, whose out-of-band buffers keep arrays from being copied:
# https://peps.python.org/pep-0574/
_BUFFERS_SINCE = (3, 8)


def prepare_run(
    definition: FlowDefinition,
    *,
    datastore: Datastore,
    environments: Environments,
    settings: Settings,
    platforms: Mapping[str, str],
    in_containers: Collection[str] = (),
    run_id: str,
    parameters: Mapping[str, Any],
    origin: Literal["local", "airflow"],
    environment: Literal["conda", "local"],
    tags: Sequence[str] = (),
    first_attempt: int = 0,
    namespace: str | None = None,
    resumed: RunRecord | None = None,
    current: Mapping[str, Any] | None = None,
    resolved: Collection[str] | None = None,
    runner: str | None = None,
    revises: RunRecord | None = None,
) -> RunRecord:
    """Resolve the environments, store the code package, and commit the run's manifest.

    A second call for the same run id overwrites the manifest; tasks that start later use the new one. With
    ``revises`` the manifest stays, and what it would be now is stored beside it.

    Args:
        definition: the flow.
        datastore: where the run is stored.
        environments: resolves and caches environments.
        settings: channels, virtual packages and other settings in force.
        platforms: the conda platform of every step.
        in_containers: the steps that run in containers; their environments are also stored as archives.
        run_id: the run's id.
        parameters: the value of every parameter, by attribute.
        origin: the scheduler that runs the tasks.
        environment: ``conda`` gives every step its own environment, ``local`` none.
        tags: the run's tags.
        first_attempt: the number of every task's first attempt.
        namespace: tag of the runs that the client shows in steps; ``user:<name>`` if None.
        resumed: the run that this one resumes; its parameters replace ``parameters`` and the configs.
        current: further values for ``current`` in steps, as JSON.
        resolved: the steps whose environments are resolved; all if None.
        runner: the SHA-256 of the runner's archive, for jobs whose image may lack the runner.
        revises: the record of a run that has begun, for a task that is to run the flow as it is now.

    Returns:
        the run's record. Whoever starts an attempt hands it ``RunRecord.sha256``.
    """
    # Before environments, which may take minutes: what is stored is what was there when the run began.
    sources = CodeSources.of(definition, settings.package_modules)
    package = code_package.build(
        definition.file,
        suffixes=settings.package_suffixes,
        read=definition.read_files,
        root=sources.root,
        modules=sources.modules,
    )
    if package.compiled and (in_containers or origin == "airflow"):
        _say_compiled(package.compiled)
    specs = environment_specs(definition, settings, platforms) if environment == "conda" else {}
    wanted = {step: spec for step, spec in specs.items() if resolved is None or step in resolved}
    packed = {step: spec for step, spec in wanted.items() if step in in_containers}
    here = {step: spec for step, spec in wanted.items() if step not in in_containers}
    check_this_machine(here, definition.lock_command)
    # Environments and code come before the manifest, because it refers to them.
    locks = environments.resolve_all(wanted)
    archives = environments.prepare_for_containers(packed)
    known = {step: {each.name for each in lock.packages} for step, lock in locks.items()}
    for line in lacking_modules(definition, sources, known):
        warn(line)
    code_package.publish(datastore.storage, package)
    protocols = _pickle_protocols(definition, specs)
    created = datetime.now(timezone.utc)
    manifest: RunManifest = {
        "version": VERSION,
        "flow": definition.name,
        "run_id": run_id,
        "created": created.isoformat(timespec="microseconds"),
        "origin": origin,
        "username": username(),
        "tags": checked_tags(tags),
        "system_tags": [
            *origin_tags(username(), origin, created, platform.python_version()),
            *_project_tags(definition.project),
        ],
        "graph": definition.graph.to_dict(),
        "decorators": definition.decorators,
        "user_decorators": definition.user_decorators,
        "mutated_with": definition.mutated_with,
        "current": {**definition.project, **(current or {})},
        "code": {"sha256": package.sha256, "flow_file": package.flow_file},
        "environment": environment,
        "environments": {
            step: _environment(spec, locks.get(step), archives.get(step)) for step, spec in specs.items()
        },
        "runner": runner,
        "pickle_protocols": protocols,
        "first_attempt": first_attempt,
        "parameters": {
            **_store(datastore, {**parameters, **definition.configs}, protocols[definition.graph.start]),
            **(resumed.parameters if resumed else {}),
        },
        "constants": _store(
            datastore, flow_constants(definition.flow_class), protocols[definition.graph.start]
        ),
        "call": _store(datastore, {"call": definition.call}, protocols[definition.graph.start])["call"]
        if definition.call
        else None,
        "namespace": f"user:{username()}" if namespace is None else namespace,
        "origin_run_id": resumed.run_id if resumed else None,
        "datatools_root": settings.datatools_root,
    }
    run = RunRecord(manifest)
    if revises is not None:
        revision = revises.revised(run, own=set(parameters))
        return revises if revision is revises else keep_revision(datastore.storage, revision)
    write_run_manifest(datastore.storage, run)
    return run


def _say_compiled(names: Sequence[str]) -> None:
    """Say which compiled modules are missing on other machines: each fits one Python on one platform."""
    more = f" and {len(names) - 1} more" if len(names) > 1 else ""
    warn(
        f"Steps on other machines lack the compiled module {names[0]}{more}: only sources are shipped. "
        "Declare what provides it with @conda or @pypi. If it fits the Python of every step, the setting "
        "package_suffixes (.so) ships it."
    )


def _environment(
    spec: EnvironmentSpec, lock: Lock | None, packed: PackedEnvironment | None
) -> EnvironmentRef:
    """Reference of a step's environment; without a lock it is not known which packages it has."""
    stated = {**spec.libraries, **spec.pypi}
    found: EnvironmentRef = {
        "python": spec.python,
        "id": spec.id,
        "platform": spec.platform,
        "stated": stated,
    }
    if lock is not None:
        found["lock"] = lock.sha256
        found["packed"] = (
            None
            if packed is None
            else {"prefix": packed.prefix, "sha256": packed.sha256, "size": packed.size}
        )
    return found


def _project_tags(project: Mapping[str, Any]) -> list[str]:
    if not project:
        return []
    return [f"project:{project['project_name']}", f"project_branch:{project['branch_name']}"]


def first_attempt(storage: Storage, flow: str, run_id: str, *, is_new: bool) -> int:
    """Number of every task's first attempt in a run whose id comes from an orchestrator.

    A run can be deleted in the orchestrator and be created again under the same id. The attempts of the new
    run then continue the numbers of the old one; otherwise the old outputs would be taken for the new run's.

    Args:
        storage: the datastore's.
        flow: the flow's name.
        run_id: the run's id.
        is_new: whether this is the orchestrator's first try to prepare the run; a later try keeps the number.
    """
    try:
        before = read_run_manifest(storage, flow, run_id)
    except NotInDatastore:
        return 0
    except DamagedDocument:  # the number is not known any more: no earlier output may count
        is_new = True
    else:
        if not is_new:
            return before.first_attempt
    manifests = (PurePosixPath(key) for key in storage.list_keys(layout.run_folder(flow, run_id)))
    attempts = (whole_number(key.stem) for key in manifests if key.suffix == ".json")
    return max((each for each in attempts if each is not None), default=-1) + 1


def _pickle_protocols(definition: FlowDefinition, specs: Mapping[str, EnvironmentSpec]) -> dict[str, int]:
    """Newest pickle protocol, by step, that the step and all later steps can read."""
    old = {step for step, spec in specs.items() if _version(spec.python) < _BUFFERS_SINCE}
    return {
        step: 4 if ({step} | definition.graph.descendants(step)) & old else 5
        for step in definition.graph.steps
    }


def _version(python: str) -> tuple[int, int]:
    major, minor = python.split(".")[:2]
    return int(major), int(minor)


def _store(datastore: Datastore, values: Mapping[str, Any], protocol: int) -> dict[str, ArtifactRef]:
    stored = {name: plain(_content(value, datastore.storage)) for name, value in values.items()}
    return store_values(datastore, stored, protocol)


def _content(value: Any, storage: Storage) -> Any:
    """Content of the file if the value is an ``IncludeFile``'s, else the value itself."""
    if isinstance(value, FileToInclude):
        return value.content(lambda url: read_object_at(url, storage))
    return value
