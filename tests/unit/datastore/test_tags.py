"""Changes of tags: a damaged one is said, not skipped."""

from __future__ import annotations

import pytest

from airflow_conda_flow.datastore import layout, tags
from airflow_conda_flow.errors import DamagedDocument
from airflow_conda_flow.records.document import canonical_json
from airflow_conda_flow.records.run_record import RunRecord

from ...parts.damage import FAULTS

RUN = RunRecord({"version": 1, "flow": "F", "run_id": "1", "tags": ["first"], "system_tags": ["user:a"]})


@pytest.mark.parametrize("fault", FAULTS)
def test_a_damaged_change(storage, fault):
    """The error names the document, its place, and what to do; when it is gone the other changes count."""
    tags.change_tags(storage, RUN, ["second"], [])
    tags.change_tags(storage, RUN, ["third"], [])
    _, key = storage.list_keys(layout.tag_folder("F", "1"))
    right = storage.read_bytes(key)
    storage.write_bytes(key, FAULTS[fault](right))
    for act in (lambda: tags.user_tags(storage, RUN), lambda: tags.change_tags(storage, RUN, ["new"], [])):
        with pytest.raises(DamagedDocument) as caught:
            act()
        message = str(caught.value)
        assert message.startswith(f"{key} in the datastore {storage.url} is damaged: it")
        assert message.endswith(". Delete it, and add or remove the tags again.")
    storage.write_bytes(key, right)
    assert tags.user_tags(storage, RUN) == ["first", "second", "third"]


def test_a_change_without_a_checksum(storage):
    """Changes of older versions count; one that nobody wrote is damaged."""
    key = layout.tag_change("F", "1", "0-a")
    storage.write_bytes(key, canonical_json({"version": 1, "add": ["old"], "remove": ["first"]}))
    assert tags.user_tags(storage, RUN) == ["old"]
    storage.write_bytes(key, canonical_json({"version": 1, "add": None, "remove": []}))
    with pytest.raises(DamagedDocument, match="is damaged: its add is None"):
        tags.user_tags(storage, RUN)
