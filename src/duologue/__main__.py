"""``python -m duologue`` does what ``duologue`` does."""

from duologue.cli import main

if __name__ == "__main__":
    main()
