"""Options, progress and reports of the command line."""
