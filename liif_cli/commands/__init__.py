"""The commands, one file each; an import of one imports no torch."""
