"""Names that are imported only when asked for, so that a registry costs no start-up time."""

from __future__ import annotations

import difflib
import logging
from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import Any

from liif_cli.errors import UsageError

log = logging.getLogger(__name__)


class Registry(Mapping[str, str]):
    """A mapping of name to ``"package.module:attribute"``.

    What other packages add by entry points comes behind; it cannot replace an entry. One that
    cannot be imported is left out, with a warning in the log.

    Args:
        kind: what the entries are ("decoder", "exporter"), for error messages.
        entries: name to import path.
        group: of entry points; empty where nothing may be added.
    """

    def __init__(self, kind: str, entries: Mapping[str, str], group: str = "") -> None:
        self.kind, self.group = kind, group
        self.own: tuple[str, ...] = tuple(entries)
        """Names of the entries that are not another package's; asking for them looks nowhere."""
        self._own = dict(entries)
        self._all: dict[str, str] | None = None

    @property
    def _entries(self) -> dict[str, str]:
        if self._all is None:
            # meanwhile, what is being imported may ask for the list
            self._all = dict(self._own)
            if self.group:
                self._all |= _added(self.group, self._own)
        return self._all

    def __getitem__(self, name: str) -> str:
        return self._own[name] if name in self._own else self._entries[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def load(self, name: str) -> Any:
        """Import and return the attribute behind ``name``.

        Raises:
            UsageError: no entry has that name.
        """
        if name not in self._own and name not in self._entries:
            near = difflib.get_close_matches(name, self._entries, n=1)
            raise UsageError(
                f"unknown {self.kind}",
                got=repr(name),
                expected="one of " + ", ".join(self._entries),
                cure=f"did you mean {near[0]!r}?" if near else "",
            )
        return _attribute(self[name])


def _attribute(path: str) -> Any:
    module, attribute = path.split(":")
    return getattr(import_module(module), attribute)


def _added(group: str, taken: Mapping[str, str]) -> dict[str, str]:
    """What packages add to a group, by name."""
    from importlib.metadata import entry_points

    added: dict[str, str] = {}
    for point in entry_points(group=group):
        package = point.dist.name if point.dist is not None else "?"
        if point.name in taken or point.name in added:
            log.warning(
                "%s %r of %s is left out: there is one of that name", group, point.name, package
            )
            continue
        try:
            _attribute(point.value)
        except Exception as error:  # another package's code
            log.warning("%s %r of %s is left out: %s", group, point.name, package, error)
            continue
        added[point.name] = point.value
    return added
