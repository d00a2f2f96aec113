"""``python -m duologue.demo.parcel_desk`` starts the desk."""

from __future__ import annotations

from duologue.demo.parcel_desk.server import main

if __name__ == "__main__":
    main()
