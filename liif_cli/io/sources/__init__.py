"""Input formats, one file a family; ``liif_cli.io.SOURCES`` lists them."""
