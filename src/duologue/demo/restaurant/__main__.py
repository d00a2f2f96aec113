"""``python -m …restaurant`` starts the server."""

# ruff: noqa: TID252 - relative imports, so that this folder runs wherever it is copied to

from .server import main

if __name__ == "__main__":
    main()
