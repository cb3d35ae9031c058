"""``python -m liif_cli``: the same as the command ``liif``."""

from liif_cli.cli import main

if __name__ == "__main__":
    main()
