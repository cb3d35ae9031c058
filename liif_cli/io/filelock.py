"""A lock of an open file that goes with the process, where the system has one."""

from __future__ import annotations

import errno
import sys
from typing import BinaryIO

_FAR = 1 << 40
"""Where Windows locks a byte: it locks others out of what it locks, and nothing lies there."""


def try_lock(file: BinaryIO) -> bool | None:
    """Lock a file that nobody has locked.

    Of a process that ended nothing is locked any more.

    Returns:
        Whether it is locked now: False where somebody else has, None where the system or the file
        system knows no locks, so that waiting is of no use.
    """
    try:
        if sys.platform == "win32":
            import msvcrt

            at = file.tell()
            file.seek(_FAR)
            try:
                msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
            finally:
                file.seek(at)
        else:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (OSError, ImportError) as error:
        # what flock and msvcrt say of a lock that somebody has
        return False if getattr(error, "errno", None) in (errno.EAGAIN, errno.EACCES) else None
    return True
