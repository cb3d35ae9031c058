"""Output formats, one file a family; ``liif_cli.io.EXPORTERS`` lists them."""
