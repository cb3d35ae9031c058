"""Names that are imported only when asked for, so that a registry costs no start-up time."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import Any

from liif_cli.errors import UsageError


class Registry(Mapping[str, str]):
    """A mapping of name to ``"package.module:attribute"``.

    Args:
        kind: what the entries are ("decoder", "exporter"), for error messages.
        entries: name to import path.
    """

    def __init__(self, kind: str, entries: Mapping[str, str]) -> None:
        self.kind = kind
        self._entries = dict(entries)

    def __getitem__(self, name: str) -> str:
        return self._entries[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def load(self, name: str) -> Any:
        """Import and return the attribute behind ``name``.

        Raises:
            UsageError: no entry has that name.
        """
        if name not in self._entries:
            near = difflib.get_close_matches(name, self._entries, n=1)
            raise UsageError(
                f"unknown {self.kind}",
                got=repr(name),
                expected="one of " + ", ".join(self._entries),
                cure=f"did you mean {near[0]!r}?" if near else "",
            )
        module, attribute = self._entries[name].split(":")
        return getattr(import_module(module), attribute)
