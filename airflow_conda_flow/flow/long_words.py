"""Cuts long words in messages, so that a message that repeats a user's input stays one readable line.

Standard library only, Python 3.6 and later: errors of flow files are shown by it.
"""

import re

_LONGEST = 255
"""Characters of the longest word that is shown whole: names of files have no more."""
_START, _END = 60, 20
# A quoted text begins after no letter: what ``isn't`` has is an apostrophe.
_LONG = re.compile(r"(?<!\w)'[^'\n]{%d,}'|\S{%d,}" % (_LONGEST + 1, _LONGEST + 1))


def readable(message: str) -> str:
    """The message, with the middle of each long word or quoted text replaced by its number of characters.

    >>> readable("There is no run 'aaa' of AFlow.")
    "There is no run 'aaa' of AFlow."
    >>> readable("There is no run '%s' of AFlow." % ("ab" * 1000))[:100]
    "There is no run 'abababababababababababababababababababababababababababababa[...1,922 characters...]"
    """
    return _LONG.sub(_cut, message)


def _cut(match: "re.Match[str]") -> str:
    text = match.group()
    return f"{text[:_START]}[...{len(text) - _START - _END:,} characters...]{text[-_END:]}"
