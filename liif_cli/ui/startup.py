"""A quicker start. Imports nothing heavy."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def importing() -> Iterator[None]:
    """For imports and the loading of compiled code: they make millions of objects that all stay.

    The collector of cycles would look at them again and again, for a tenth of the time; after this
    it never does.
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if enabled:
            gc.enable()
