"""Which room may know of which; import-linter sees imports, and these tests what it cannot see."""

import ast
import re
import sys
from pathlib import Path

import pytest

import airflow_conda_flow

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

PACKAGE = Path(airflow_conda_flow.__file__).parent
PROJECT = PACKAGE.parent / "pyproject.toml"


def floors() -> dict[str, int]:
    """The floor of every room, from the contract in pyproject.toml; the lowest is 0."""
    contracts = tomllib.loads(PROJECT.read_text(encoding="utf-8"))["tool"]["importlinter"]["contracts"]
    (layers,) = (each["layers"] for each in contracts if each["type"] == "layers")
    return {room: floor for floor, rooms in enumerate(reversed(layers)) for room in rooms.split(" | ")}


def module_names(path: Path) -> list[str]:
    """The modules of this package that texts in a file name; messages to people have a space."""
    texts = [
        node.value
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    ]
    return [text for text in texts if re.fullmatch(r"airflow_conda_flow\.[a-z_.]+(:\w+)?", text)]


@pytest.mark.parametrize(
    "path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: str(path.relative_to(PACKAGE))
)
def test_no_text_names_a_module_of_a_higher_floor(path):
    floor = floors()
    room = path.relative_to(PACKAGE).with_suffix("").parts[0]
    if room == "__init__":
        return  # it is the package itself, above all rooms
    higher = [text for text in module_names(path) if floor.get(text.split(".")[1], -1) > floor[room]]
    assert not higher


def test_what_lower_rooms_ask_for_is_there():
    """Each answer that bindings.py gives is a name in the module that it names."""
    answers = [text for text in module_names(PACKAGE / "bindings.py") if ":" in text]
    assert answers
    for answer in answers:
        module, _, name = answer.partition(":")
        path = PACKAGE.parent / (module.replace(".", "/") + ".py")
        assert re.search(
            rf"^(def|class) {name}\b|^{name} = ", path.read_text(encoding="utf-8"), re.MULTILINE
        ), answer
