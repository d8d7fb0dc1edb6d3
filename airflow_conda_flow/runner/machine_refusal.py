"""Errors of the machine, not of a program, as lines for people."""

from __future__ import annotations

import errno

_PLACES = "datastore_root, cache_dir or TMPDIR"
_RIGHTS = f"Make it readable and writable for this user, or set {_PLACES} to a place that is."
_ROOM = f"Make room there, or set {_PLACES} to another disk."
_ADVICE = {
    errno.EACCES: _RIGHTS,
    errno.EPERM: _RIGHTS,
    errno.EROFS: f"Set {_PLACES} to a place that can be written.",
    errno.ENOSPC: _ROOM,
    errno.EDQUOT: _ROOM,
    errno.EMFILE: "Raise the limit of open files (ulimit -n), or lower --max-workers.",
    errno.ENFILE: "The machine has no more files to open. Lower --max-workers.",
    errno.EAGAIN: "Raise the limit of processes (ulimit -u), or lower --max-workers.",
    errno.ENOMEM: "The machine has no memory left. Lower --max-workers.",
    errno.EIO: "The disk has a fault.",
}
_OTHERWISE = f"If something is in the way there, remove it, or set {_PLACES} to another place."


def is_refusal(error: OSError) -> bool:
    """True if the machine is the cause of an error, whatever program has met it."""
    return error.errno in _ADVICE


def refusal_line(error: OSError) -> str:
    """Line about an error that the operating system has reported to us, with what to do."""
    where = f" ({error.filename})" if error.filename is not None else ""
    advice = _ADVICE.get(error.errno or 0, _OTHERWISE)
    return f"This machine refused it: {error.strerror or error}{where}. {advice}"


def lost_output_line(error: OSError) -> str:
    """Line about output that cannot be written, as on a full disk."""
    return f"The output cannot be written: {error.strerror or error}."
