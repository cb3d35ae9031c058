"""Networks: the registries of encoders and decoders. Importing this imports no torch."""

from liif_cli.registries import DECODERS, ENCODERS

__all__ = ["DECODERS", "ENCODERS"]
