"""Stored documents: what is written is read, and nothing else is."""

from __future__ import annotations

import json

import pytest

from airflow_conda_flow.errors import CorruptData, DamagedDocument, DatastoreError
from airflow_conda_flow.records.document import canonical_json, read_document, stored_bytes

DOCUMENT = {"version": 1, "flow": "é\udc80", "tags": ["a", "b"], "code": {"sha256": "ab" * 32}, "size": 12}
FORMS = pytest.mark.parametrize("indent", [None, 1])


@FORMS
def test_what_is_written_is_read(indent):
    """Without the checksum, which is the last key of the stored JSON."""
    data = stored_bytes(DOCUMENT, indent)
    assert read_document(data, "x", "") == DOCUMENT
    stored = json.loads(data.decode("utf-8", "surrogatepass"))
    assert list(stored)[-1] == "checksum"
    assert {**DOCUMENT, "checksum": stored["checksum"]} == stored


@FORMS
def test_every_flipped_bit_is_found(indent):
    """Wherever it is: in a key, a value, the checksum, its name, or the punctuation."""
    data = stored_bytes(DOCUMENT, indent)
    for place in range(len(data)):
        for bit in range(8):
            damaged = bytearray(data)
            damaged[place] ^= 1 << bit
            with pytest.raises(DamagedDocument):
                read_document(bytes(damaged), "x", "")


@FORMS
def test_every_truncation_is_found(indent):
    """However many bytes are left."""
    data = stored_bytes(DOCUMENT, indent)
    for length in range(len(data)):
        with pytest.raises(DamagedDocument):
            read_document(data[:length], "x", "")


@FORMS
def test_every_overwriting_is_found(indent):
    """Four bytes of letters, anywhere."""
    data = stored_bytes(DOCUMENT, indent)
    for place in range(len(data) - 4):
        with pytest.raises(DamagedDocument):
            read_document(data[:place] + b"EVIL" + data[place + 4 :], "x", "")


@pytest.mark.parametrize(
    ("data", "fault"),
    [
        (b"", "it is not valid JSON: Expecting value: line 1 column 1 (char 0)"),
        (
            b"\xff",
            "it is not valid JSON: 'utf-8' codec can't decode byte 0xff in position 0: invalid start byte",
        ),
        (b"[" * 100_000, "it is not valid JSON: maximum recursion depth exceeded"),
        (b"[1]", "it is not a JSON object"),
        (b"{}", "it states no version"),
        (b'{"version":0}', "it states no version"),
        (b'{"version":true}', "it states no version"),
        (stored_bytes({"flow": "a"}), "it states no version"),
        (stored_bytes(DOCUMENT).replace(b'"size":12', b'"size":13'), "its checksum is wrong"),
        (stored_bytes(DOCUMENT) + b"\n", "its checksum is wrong"),
        (json.dumps(json.loads(stored_bytes({"version": 1}))).encode(), "its checksum is wrong"),
    ],
)
def test_the_message(data, fault):
    """It says which document, where, what is wrong, and what to do, in one line."""
    with pytest.raises(DamagedDocument) as caught:
        read_document(data, "a/key in /place", "Do this.")
    message = str(caught.value)
    assert message.startswith(f"a/key in /place is damaged: {fault}")
    assert message.endswith(". Do this.")
    assert isinstance(caught.value, CorruptData)


def test_an_older_version_wrote_no_checksum():
    """Its documents are read, in any order of keys; the caller may refuse them."""
    for data in (
        canonical_json(DOCUMENT),
        json.dumps(DOCUMENT).encode(),
        json.dumps(DOCUMENT, indent=2).encode(),
    ):
        assert read_document(data, "x", "") == DOCUMENT
        with pytest.raises(DamagedDocument, match=r"^x is damaged: its size is 12\. Do this\.$"):
            read_document(data, "x", "Do this.", wrong=lambda found: f"its size is {found['size']}")


def test_a_right_checksum_says_nothing_of_the_values():
    """Whoever writes a document can write its checksum: the caller may refuse it all the same."""
    with pytest.raises(DamagedDocument, match=r"^x is damaged: its size is 12\. Do this\.$"):
        read_document(
            stored_bytes(DOCUMENT), "x", "Do this.", wrong=lambda found: f"its size is {found['size']}"
        )


@pytest.mark.parametrize("write", [stored_bytes, canonical_json])
def test_a_newer_version(write):
    """It is not damaged: the message says what to do here, whatever its keys are."""
    with pytest.raises(DatastoreError) as caught:
        read_document(write({"version": 3}), "x", "", 2, wrong=lambda _found: "wrong")
    assert not isinstance(caught.value, DamagedDocument)
    assert str(caught.value) == (
        "x has version 3; this installation reads up to version 2. Upgrade airflow-conda-flow here."
    )
