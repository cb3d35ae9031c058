"""Executors: who runs the tasks. The registry; importing it imports none of them."""

from liif_cli.registry import Registry

EXECUTORS = Registry("executor", {"threads": "liif_cli.engine.executors.threads:ThreadExecutor"})
