"""Networks: the registries of encoders and decoders. Importing this imports no torch."""

from liif_cli.registry import Registry

ENCODERS = Registry(
    "encoder",
    {
        "edsr": "liif_cli.models.encoders.edsr:EDSR",
        "rdn": "liif_cli.models.encoders.rdn:RDN",
    },
)

DECODERS = Registry(
    "decoder",
    {
        "liif": "liif_cli.models.decoders.liif:LIIF",
        "lmliif": "liif_cli.models.decoders.lmliif:LMLIIF",
        "metasr": "liif_cli.models.decoders.metasr:MetaSR",
        "bicubic": "liif_cli.models.decoders.bicubic:Bicubic",
        "nearest": "liif_cli.models.decoders.nearest:Nearest",
    },
)
