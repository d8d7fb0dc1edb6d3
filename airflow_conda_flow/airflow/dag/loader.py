"""Loader that makes DAGs from a folder of flow files which do not mention Airflow."""

from __future__ import annotations

import hashlib
import importlib.util
import logging
import os
import sys
from collections.abc import Iterator, Mapping, MutableMapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from airflow.sdk import DAG, BaseOperator

from airflow_conda_flow.airflow.dag.compiler import compile_dag
from airflow_conda_flow.airflow.identity import dag_id_of
from airflow_conda_flow.airflow.sdk import AirflowFailException
from airflow_conda_flow.flow.flowspec import FlowSpec

_log = logging.getLogger(__name__)


def load_flows(folder: str | Path, namespace: MutableMapping[str, Any], **dag_keywords: Any) -> None:
    """Compile every flow in a folder's ``.py`` files, and put the DAGs into a DAG file's globals.

    A DAG file that loads a folder has two lines::

        from airflow_conda_flow.airflow.dag.loader import load_flows
        load_flows("/opt/flows", globals(), tags=["flows"])

    A file that cannot be loaded, or whose flow has the DAG id of another one, does not affect the others. It
    appears as a DAG of the file's name, tagged ``broken flow``, whose documentation and only task contain the
    error.

    Args:
        folder: the folder; its subfolders are not searched.
        namespace: the DAG file's ``globals()``.
        dag_keywords: keywords of ``compile_dag``, for every flow.

    Raises:
        NotADirectoryError: the folder does not exist.
    """
    root = Path(folder)
    if not root.is_dir():
        raise NotADirectoryError(f"load_flows: there is no folder {root}.")
    files: dict[str, Path] = {}
    for path in sorted(root.glob("*.py")):
        # Modules that flows import may be in the same folder; executing them as DAG files could have side
        # effects.
        if "FlowSpec" not in path.read_text(encoding="utf-8", errors="replace"):
            continue
        try:
            dags = [compile_dag(each, **dag_keywords) for each in _flows_in(path)]
            _refuse_taken(dags, files, namespace)
        except Exception as error:  # noqa: BLE001 - a user's file may raise anything
            _log.error("The flow file %s cannot be loaded: %s", path, error)
            dags = [_broken(path, error, namespace)]
        for dag in dags:
            namespace[dag.dag_id] = dag
            files[dag.dag_id] = path


def _refuse_taken(dags: Sequence[DAG], files: Mapping[str, Path], namespace: Mapping[str, Any]) -> None:
    """Raise if a DAG has the id of one that is there: one of them would be gone without a word."""
    for dag in dags:
        if dag.dag_id in namespace:
            owner = files.get(dag.dag_id, "another line of the DAG file")
            raise ValueError(
                f"its flow would be the DAG {dag.dag_id!r}, as is that of {owner}. "
                "Rename one of the flow classes."
            )


def _flows_in(path: Path) -> Iterator[type[FlowSpec]]:
    module = _load(path)
    for member in vars(module).values():
        if (
            isinstance(member, type)
            and issubclass(member, FlowSpec)
            and member is not FlowSpec
            and member.__module__ == module.__name__
        ):
            yield member


def _load(path: Path) -> ModuleType:
    """Execute a flow file as a module, and return the module.

    Modules in its folder can be imported only while it is executed. Its name in ``sys.modules`` has a prefix,
    so that a file ``json.py`` does not replace the standard library's module, and a digest of its folder, so
    that files of one name in two folders are two modules.
    """
    folder = hashlib.sha256(os.fsencode(path.parent.resolve())).hexdigest()[:8]
    name = f"airflow_conda_flow_loaded_{folder}_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path} is not a Python file.")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    sys.path.insert(0, str(path.parent))
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    finally:
        sys.path.remove(str(path.parent))
    return module


class BrokenFlowOperator(BaseOperator):
    """Operator that fails with the error of a flow file that cannot be loaded.

    Args:
        problem: the error message.
    """

    def __init__(self, *, problem: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.problem = problem

    def execute(self, context: Any) -> None:
        """Fail without retries."""
        del context
        raise AirflowFailException(self.problem)


def _broken(path: Path, error: Exception, namespace: Mapping[str, Any]) -> DAG:
    problem = f"{path} cannot be loaded: {error}"
    dag_id = dag_id_of(path.stem)
    while dag_id in namespace:  # the file may have the name of another file's flow
        dag_id += "_broken"
    dag = DAG(dag_id, schedule=None, tags=["broken flow"], doc_md=problem)
    BrokenFlowOperator(task_id="import_error", problem=problem, dag=dag)
    return dag
