"""Help of a command with many options: in groups, those that are used most first."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import click

GROUPS: dict[str, tuple[str, ...]] = {
    "Size, one of": (
        "scale",
        "size",
        "long_side",
        "short_side",
        "megapixels",
        "paper",
        "dpi",
        "fit",
        "roi",
    ),
    "Model": ("model", "cleanup", "cell", "via", "self_ensemble", "precision"),
    "Inputs": ("include", "exclude", "strict", "page", "select", "level", "max_input_pixels"),
    "Outputs": (
        "named",
        "format",
        "overwrite",
        "skip_existing",
        "verify",
        "quality",
        "compression",
        "pyramid",
        "name",
        "suffix",
        "keep_extension",
        "strip_metadata",
    ),
    "Machine": (
        "max_memory",
        "jobs",
        "device",
        "tile",
        "executor",
        "workers",
        "scheduler",
    ),
    "Batch": (
        "preview",
        "at",
        "dry_run",
        "report",
        "log_file",
        "stop_after",
        "stop_at",
        "quiet",
        "verbose",
    ),
}
"""Heading -> names of parameters, in their order."""


class GroupedCommand(click.Command):
    """A command whose ``--help`` has its options under headings; none is left out."""

    @staticmethod
    def groups(names: Sequence[str]) -> Iterator[tuple[str, list[str]]]:
        """Headings, and which of a command's parameters are under each."""
        left = list(names)
        last = list(GROUPS)[-1]
        for heading, known in GROUPS.items():
            shown = [name for name in known if name in left]
            left = [name for name in left if name not in shown]
            if heading == last:
                # what this table does not know, and --help
                shown += left
            if shown:
                yield heading, shown

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options, group by group."""
        records = {
            parameter.name: record
            for parameter in self.get_params(ctx)
            if isinstance(parameter, click.Option)
            and (record := parameter.get_help_record(ctx)) is not None
        }
        for heading, names in self.groups(list(records)):
            with formatter.section(heading):
                formatter.write_dl([records[name] for name in names])
