"""The decorators of every step as plain data, those of ``--with`` among them.

What a decorator means is decided by whoever reads the data: ``compute/`` for pods and jobs, ``runner/``
for attempts, ``local/`` and ``airflow/`` for retries.
"""

import json

from airflow_conda_flow.errors import SettingError
from airflow_conda_flow.flow.conda_decorators import STEP_NAMES
from airflow_conda_flow.flow.decorators import nearest
from airflow_conda_flow.flow.step_decorators import STEP_DECORATORS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from airflow_conda_flow.flow.flow_draft import FlowDraft

    Attached = dict[str, dict[str, dict[str, Any]]]
    """Attributes by decorator name by step."""


def attached_decorators(draft):
    # type: (FlowDraft) -> Attached
    """Attributes by decorator name by step, as JSON; those of environments are left out."""
    return {
        step: {each.name: dict(each.attributes) for each in decorators if each.name not in STEP_NAMES}
        for step, decorators in draft.step_decorators.items()
    }


def attach_everywhere(attached, texts):
    # type: (Attached, Sequence[str]) -> Attached
    """What ``attached`` becomes where every step has these decorators too.

    A step that has a decorator of that name already keeps its own.

    Args:
        attached: as ``attached_decorators`` gives it.
        texts: such as ``kubernetes`` or ``retry:times=3,minutes_between_retries=0``.

    Raises:
        SettingError: a text names no decorator, or is not of that form.
        FlowDefinitionError: an attribute is unknown or wrong.
    """
    extra = {}  # type: dict[str, dict[str, Any]]
    for text in texts:
        name, _, rest = text.partition(":")
        if name not in STEP_DECORATORS:
            raise SettingError(
                "--with %s: there is no decorator @%s.%s It takes: %s."
                % (text, name, nearest(name, STEP_DECORATORS), ", ".join(sorted(STEP_DECORATORS)))
            )
        extra[name] = dict(STEP_DECORATORS[name](**_attributes(text, rest)).attributes)
    return {step: dict(extra, **own) for step, own in attached.items()}


def _attributes(text, rest):
    # type: (str, str) -> dict[str, Any]
    r"""The attributes of ``a=1,b=x``; a value is JSON where it can be, else a text.

    >>> _attributes("", "cpu=2,image=base:1,labels={\"a\": 1, \"b\": 2}")["labels"]
    {'a': 1, 'b': 2}
    """
    found = {}  # type: dict[str, Any]
    for piece in _pieces(rest):
        key, equals, value = piece.partition("=")
        if not equals or not key.strip():
            raise SettingError("--with %s: %r is not of the form name=value." % (text, piece))
        try:
            found[key.strip()] = json.loads(value)
        except ValueError:
            found[key.strip()] = value
    return found


def _pieces(text):
    # type: (str) -> list[str]
    """Cut at commas outside brackets and quotes."""
    pieces, depth, quoted, start = [], 0, False, 0
    for position, character in enumerate(text):
        if character == '"':
            quoted = not quoted
        elif quoted:
            continue
        elif character in "[{":
            depth += 1
        elif character in "]}":
            depth -= 1
        elif character == "," and depth == 0:
            pieces.append(text[start:position])
            start = position + 1
    pieces.append(text[start:])
    return [piece for piece in pieces if piece.strip()]
