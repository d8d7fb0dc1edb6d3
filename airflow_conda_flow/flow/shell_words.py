"""Words as text for a shell, for commands that messages tell users to write.

Standard library only, Python 3.6 and later.
"""

import os
import re
from shlex import quote

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

_NO_TEXT = re.compile("[\udc80-\udcff]")
"""Bytes of a path or an option that are not UTF-8, as Python reads them."""


def shell_word(word: "str") -> "str":
    r"""One word for a shell, quoted if it has to be.

    >>> print(shell_word("my flow.py"), shell_word("caf\udce9's.py"))
    'my flow.py' "$(printf 'caf\351\047s.py')"
    """
    if _NO_TEXT.search(word) is None:
        return quote(word)
    # No character stands for such a byte. Every shell has a printf that knows it by its number.
    return "\"$(printf '%s')\"" % "".join(map(_escaped, os.fsencode(word)))


def shell_words(words: "Iterable[str]") -> "str":
    """Words of a command line for a shell."""
    return " ".join(map(shell_word, words))


def _escaped(byte: "int") -> "str":
    character = chr(byte)
    if character == "%":
        return "%%"
    return character if " " <= character <= "~" and character not in "\\'-" else "\\%03o" % byte
