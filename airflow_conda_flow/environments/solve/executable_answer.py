"""Reads the answers of ``conda``, ``mamba`` and ``micromamba``: which packages a dry run has chosen.

Only names, versions and builds are taken. Everything else is left out by some version of some executable
(``size``, ``build_number``, ``sha256`` of packages that are cached), and comes from the channel.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

# Keys of which every answer has one.
_KNOWN = frozenset(["actions", "success", "error", "message", "exception_name", "solver_problems"])
_OBJECT = re.compile(r"^[ \t\0]*\{", re.MULTILINE)
_FIELDS = {"name": ("name",), "version": ("version",), "build": ("build_string", "build")}
_LONGEST = 300  # characters of a reason that is quoted


class ChosenPackage(NamedTuple):
    """Package that an executable has chosen; its record is the channel's."""

    name: str
    version: str
    build: str


class OddAnswer(ValueError):
    """The answer cannot be read; the message says why, in a few words."""


def read_answer(text: str) -> dict[str, Any] | None:
    r"""The answer in what an executable printed; None if there is none.

    Warnings may stand before it and after it, and conda prints an object for every step of its progress.

    >>> read_answer('WARNING: old {config}\n{"fetch": "numpy"}\n{"success": true}\n')
    {'success': True}
    """
    found = None
    decoder = json.JSONDecoder()
    end = 0
    for match in _OBJECT.finditer(text):
        if match.end() <= end:
            continue  # inside an object that was read
        try:
            value, end = decoder.raw_decode(text, match.end() - 1)
        except (ValueError, RecursionError):
            continue
        if _KNOWN & value.keys():
            found = value
    return found


def chosen_packages(answer: Mapping[str, Any]) -> tuple[ChosenPackage, ...]:
    """Packages of an answer; empty if it lists none.

    ``LINK`` lists all of them, ``FETCH`` those that no cache has.

    Raises:
        OddAnswer: a package lacks its name, version or build, or is listed twice.
    """
    actions = answer.get("actions") or {}
    if isinstance(actions, list):  # conda before 4.4 gives a list of one
        actions = actions[0] if actions else {}
    if not isinstance(actions, Mapping):
        raise OddAnswer(f"its list of actions is {shortened(repr(actions))}")
    records = actions.get("LINK") or actions.get("FETCH") or []
    if not isinstance(records, list):
        raise OddAnswer(f"its list of packages is {shortened(repr(records))}")
    packages: dict[str, ChosenPackage] = {}
    for package in map(_chosen, records):
        if packages.setdefault(package.name, package) != package:
            raise OddAnswer(f"it lists {package.name} twice")
    return tuple(packages.values())


def reason_of(answer: Mapping[str, Any]) -> str:
    """The reason that a failed answer states, on one line; empty without one."""
    problems = answer.get("solver_problems") or []
    texts = [answer.get("message") or answer.get("error") or ""]
    texts += problems if isinstance(problems, list) else [problems]
    return shortened("; ".join(str(each).strip() for each in texts if each))


def printed_reason(text: str) -> str:
    r"""The reason in what an executable printed that is no answer: of tracebacks only the errors.

    >>> printed_reason("Traceback (most recent call last):\n  File\nKeyError: 'x'\n\nDuring handling of\n")
    "KeyError: 'x'"
    """
    if "Traceback (most recent call last):" in text:
        skipped = (" ", "Traceback (most", "During handling of", "The above exception")
        text = "\n".join(line for line in text.splitlines() if not line.startswith(skipped))
    return shortened(text)


def shortened(text: str) -> str:
    r"""The text on one line, cut where it is too long to be read in a message.

    >>> shortened("Could not solve:\n  - x\n")
    'Could not solve: - x'
    """
    line = " ".join(text.split())
    return line if len(line) <= _LONGEST else f"{line[:_LONGEST]}..."


def _chosen(record: object) -> ChosenPackage:
    if not isinstance(record, Mapping):
        raise OddAnswer(f"one of its packages is {shortened(repr(record))}")
    values = {}
    for field, keys in _FIELDS.items():
        value = next((record[key] for key in keys if record.get(key)), None)
        if not isinstance(value, str):
            named = record.get("name") or record.get("dist_name") or record.get("fn") or record
            raise OddAnswer(f"it gives no {field} for {shortened(str(named))}")
        values[field] = value.strip()
    values["name"] = values["name"].lower()
    return ChosenPackage(**values)
