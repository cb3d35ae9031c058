"""What can be added to: every list that is one, and the entry points by which packages add to it.

A line is ``"name": "module:attribute"``, imported when it is asked for. A package adds one of its
own with an entry point of the registry's group, as in its ``pyproject.toml``:

    [project.entry-points."liif.formats"]
    fits = "liif_fits.exporter:FitsExporter"
"""

from liif_cli.registry import Registry

ENCODERS = Registry(
    "encoder",
    {
        "edsr": "liif_cli.models.encoders.edsr:EDSR",
        "rdn": "liif_cli.models.encoders.rdn:RDN",
    },
    group="liif.encoders",
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
    group="liif.decoders",
)

SOURCES = Registry(
    "source",
    {
        "png": "liif_cli.io.sources.png:PngSource",
        "jpg": "liif_cli.io.sources.jpeg:JpegSource",
        "webp": "liif_cli.io.sources.webp:WebpSource",
        "bmp": "liif_cli.io.sources.bmp:BmpSource",
        "avif": "liif_cli.io.sources.avif:AvifSource",
        "heic": "liif_cli.io.sources.heif:HeifSource",
        "gif": "liif_cli.io.sources.gif:GifSource",
        "jxl": "liif_cli.io.sources.jxl:JpegXlSource",
        "jp2": "liif_cli.io.sources.jp2:Jpeg2000Source",
        "pnm": "liif_cli.io.sources.pnm:PnmSource",
        "qoi": "liif_cli.io.sources.qoi:QoiSource",
        "exr": "liif_cli.io.sources.exr:ExrSource",
        "hdr": "liif_cli.io.sources.hdr:HdrSource",
        "tiff": "liif_cli.io.sources.tiff:TiffSource",
        "zarr": "liif_cli.io.sources.zarr:ZarrSource",
        # the last one: one of its formats has no signature
        "pillow": "liif_cli.io.sources.pillow:PillowSource",
    },
    group="liif.sources",
)

EXPORTERS = Registry(
    "format",
    {
        "png": "liif_cli.io.exporters.png:PngExporter",
        "jpg": "liif_cli.io.exporters.jpeg:JpegExporter",
        "webp": "liif_cli.io.exporters.webp:WebpExporter",
        "tiff": "liif_cli.io.exporters.tiff:TiffExporter",
        "ome-tiff": "liif_cli.io.exporters.ometiff:OmeTiffExporter",
        "zarr": "liif_cli.io.exporters.zarr:ZarrExporter",
        "jp2": "liif_cli.io.exporters.jp2:Jpeg2000Exporter",
        "jxl": "liif_cli.io.exporters.jxl:JpegXlExporter",
        "avif": "liif_cli.io.exporters.avif:AvifExporter",
        "exr": "liif_cli.io.exporters.exr:ExrExporter",
        "hdr": "liif_cli.io.exporters.hdr:HdrExporter",
        # behind tiff, which has its suffixes
        "cog": "liif_cli.io.exporters.cog:CogExporter",
        "dzi": "liif_cli.io.exporters.deepzoom:DeepZoomExporter",
    },
    group="liif.formats",
)

EXECUTORS = Registry(
    "executor",
    {
        "threads": "liif_cli.engine.executors.threads:in_this_process",
        "processes": "liif_cli.engine.executors.processes:in_processes",
        "dask": "liif_cli.engine.executors.dask:on_dask",
    },
    group="liif.executors",
)
