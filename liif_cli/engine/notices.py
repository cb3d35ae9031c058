"""What a user should know of a batch although nothing is wrong: said as warnings."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from liif_cli.engine.events import Listener, Warned
from liif_cli.geometry.size import aspect_change
from liif_cli.io.base import ImageInfo, Source
from liif_cli.io.discover import Pair
from liif_cli.io.exif import rewritten
from liif_cli.io.place import is_object
from liif_cli.io.pngcolour import is_other
from liif_cli.plan.plan import RenderPlan
from liif_cli.plan.spec import RenderSpec

ASPECT_TOLERANCE = 0.01
LISTED = 8
"""Images named in a warning before the rest are only counted."""


class Notices:
    """The warnings of a batch.

    Args:
        spec: what is asked for.
        listen: told of each.
    """

    def __init__(self, spec: RenderSpec, listen: Listener) -> None:
        self.spec, self.listen = spec, listen
        self._told_of_bits = False

    def of_sizes(self, pairs: Sequence[Pair], opened: Callable[[Pair], Source]) -> None:
        """Say which images change their aspect or shrink, before any work.

        Args:
            pairs: the images.
            opened: opens one; those that it cannot are passed over.
        """
        squeezed, shrunk = [], []
        for pair in pairs:
            if is_object(pair.input):
                continue  # it would have to be fetched for that
            try:
                source = opened(pair)
                shape = (source.info.height, source.info.width)
                source.close()
                out_shape = self.spec.size.output_shape(*shape)
            except Exception:
                continue  # it fails by itself, with its own message, when its turn comes
            change = aspect_change(shape, out_shape)
            # a side that was rounded to whole pixels is not a change of aspect that was asked for
            rounding = 1 / min(out_shape)
            if abs(change) > ASPECT_TOLERANCE + rounding:
                wider = "wider" if change > 0 else "narrower"
                squeezed.append(f"{pair.input.name} ({abs(change):.0%} {wider})")
            if out_shape[0] < shape[0] or out_shape[1] < shape[1]:
                shrunk.append(pair.input.name)
        if squeezed:
            self.listen(
                Warned(
                    f"the aspect changes of {_listed(squeezed)}; "
                    "--fit inside or --fit cover keeps it"
                )
            )
        if shrunk:
            self.listen(
                Warned(
                    f"a scale below 1 for {_listed(shrunk)}: the output is smaller than the input"
                )
            )

    def of_dropped(self, info: ImageInfo, plan: RenderPlan) -> None:
        """Say what of an image its output will not have: metadata, pages, frames."""
        if info.pages > 1 and self.spec.page is None and not self.spec.select:
            axes = ", ".join(f"{name} of {length}" for name, length in info.axes)
            which = f" ({axes}); --select or" if axes else ";"
            self.listen(
                Warned(f"{info.path}: the first of {info.pages} pages{which} --page takes another")
            )
        if info.exif is not None and rewritten(info.exif, 1, 1, None) is None:
            self.listen(Warned(f"{info.path}: its EXIF is dropped, which is damaged"))
        if (
            np.dtype(plan.dtype).itemsize >= 4
            and plan.dtype != "float32"
            and not self._told_of_bits
        ):
            self._told_of_bits = True
            self.listen(
                Warned(
                    f"{info.path}: of {plan.dtype} samples some 24 bits are kept, since the "
                    "network works in float32"
                )
            )
        for what in info.dropped:
            self.listen(Warned(f"{info.path}: {what}"))
        if plan.output_format != "png" and is_other(info.colour):
            self.listen(
                Warned(
                    f"{info.path}: its colour space, cICP {tuple(info.colour[b'cICP'])}, is "
                    "dropped, which PNG alone keeps"
                )
            )


def _listed(names: list[str]) -> str:
    shown = ", ".join(names[:LISTED])
    return shown + (f" and {len(names) - LISTED} more" if len(names) > LISTED else "")
