"""``readable``: long words and quoted texts are cut in messages, and nothing else is."""

from __future__ import annotations

import pytest

from airflow_conda_flow.flow.long_words import readable


@pytest.mark.parametrize(
    "word",
    [
        "x" * 256,
        "é" * 5000,
        "/".join(["x" * 300] * 3),
        "'" * 5000,
        '{"a": "' + "b" * 5000 + '"}',
        "\\x00" * 70,
    ],
)
@pytest.mark.parametrize(
    "message", ["There is no run {} of AFlow.", "--with {}: it isn't there.", "{}", "({!r})"]
)
def test_a_long_word(message, word):
    """Its beginning and end are left, and how many characters are not."""
    found = readable(message.format(word))
    assert len(found) < 400
    assert found[:10] == message.format(word)[:10]
    assert found[-3:] == message.format(word)[-3:]
    assert "characters...]" in found


def test_a_quoted_text_with_spaces():
    """It is cut as one word; quotes of short words and apostrophes begin no such text."""
    assert len(readable(repr("some words " * 400) + " is no number.")) < 120
    text = "It isn't 'a'. It takes: " + "one, two, " * 100 + "as users' files have; say 'b'."
    assert readable(text) == text


def test_what_is_no_longer_than_the_name_of_a_file():
    """Nothing is cut."""
    text = f"{'x' * 255} {'y' * 250!r}"
    assert readable(text) == text
    assert readable("") == ""
