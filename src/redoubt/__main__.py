"""``python -m redoubt``: the same as ``redoubt``."""

from redoubt.cli.redoubt import main

if __name__ == "__main__":
    main()
