"""Pod template: a YAML file of the platform whose fields the pods of steps get, unless steps set them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from airflow_conda_flow.errors import SettingError
from airflow_conda_flow.settings.loading import Settings

OPTION = "kubernetes_pod_template"
_MERGED_BY = {
    "containers": "name",
    "initContainers": "name",
    "volumes": "name",
    "env": "name",
    "volumeMounts": "mountPath",
    "imagePullSecrets": "name",
    "ports": "containerPort",
}
"""Lists whose items are merged if they agree in this key; the items of all other lists are put together."""
_REPLACED = ("command", "args")
"""Lists that are taken whole, from the step."""

Manifest = dict[str, Any]


def pod_template(settings: Settings, container: str) -> Manifest:
    """Template of the setting ``kubernetes_pod_template``; empty if there is none.

    Args:
        settings: the settings in force.
        container: name of the step's container, the only one that a template may describe.

    Raises:
        SettingError: the file cannot be read, or is not a pod.
    """
    found = settings.texts[OPTION]
    if not found.text:
        return {}
    where = f"{found.source} is {found.text!r}"
    try:
        template = yaml.safe_load(Path(found.text).expanduser().read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise SettingError(f"{where}, a file that cannot be read: {error}") from error
    except yaml.YAMLError as error:
        raise SettingError(f"{where}, a file that is not YAML: {' '.join(str(error).split())}") from error
    if not isinstance(template, dict) or template.get("kind") != "Pod":
        raise SettingError(f"{where}, a file that does not describe a pod. Write one with 'kind: Pod'.")
    _check(template, where, container)
    return template


def _check(template: Manifest, where: str, container: str) -> None:
    for name in ("metadata", "spec"):
        if not isinstance(template.get(name, {}), dict):
            raise SettingError(f"{where}, whose {name} is not a mapping.")
    spec = template.get("spec", {})
    for name in ("containers", "initContainers", "volumes"):
        listed = spec.get(name, [])
        if not isinstance(listed, list) or not all(isinstance(each, dict) for each in listed):
            raise SettingError(f"{where}, whose {name} are not a list of mappings.")
    names = [each.get("name") for each in spec.get("containers", ())]
    if others := [name for name in names if name != container]:
        raise SettingError(
            f"{where}, which has a container {others[0]!r}. The pod of a step has one container, "
            f"{container!r}; with another it would not end. Make the other an init container with "
            "'restartPolicy: Always'."
        )


def over_template(template: Mapping[str, Any], manifest: Mapping[str, Any]) -> Manifest:
    """Manifest with the fields of the template that it does not set itself.

    Mappings are merged, and so are lists of named things such as volumes; the manifest wins. Items of other
    lists, such as tolerations, are put together.

    >>> over_template({"spec": {"a": 1, "b": 2}}, {"spec": {"b": 3}})
    {'spec': {'a': 1, 'b': 3}}
    """
    merged = dict(template)
    for name, value in manifest.items():
        merged[name] = _merged(name, template[name], value) if name in template else value
    return merged


def _merged(name: str, below: Any, above: Any) -> Any:
    if isinstance(below, dict) and isinstance(above, dict):
        return over_template(below, above)
    if isinstance(below, list) and isinstance(above, list) and name not in _REPLACED:
        key = _MERGED_BY.get(name)
        return [*below, *above] if key is None else _merged_items(key, below, above)
    return above


def _merged_items(key: str, below: list[Manifest], above: list[Manifest]) -> list[Manifest]:
    items = {each.get(key): each for each in below}
    for each in above:
        name = each.get(key)
        # An environment variable has one source: its value, or what it is taken from.
        is_variable = "value" in each or "valueFrom" in each
        items[name] = over_template(items[name], each) if name in items and not is_variable else each
    return list(items.values())
