"""What the tests of plans have in common: a network's cost, and a machine."""

from __future__ import annotations

from liif_cli.plan.memory import GIB, MIB
from liif_cli.plan.spec import Machine, ModelCost

COST = ModelCost(
    radius=(20, 20),
    encode_bytes=512,
    latent_bytes=1024,
    encode_macs=200_000,
    query_macs=133_000,
    query_bytes=12 * MIB,
)
MACHINE = Machine(workers=2, base_bytes=300 * MIB, allowed_bytes=2 * GIB)
