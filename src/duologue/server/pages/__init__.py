"""The web pages of the service: their frame, the data that only pages ask for, forms, and signing in.

All of it is below ``/api/pages`` or is the frame itself, and none of it is part of the API: it changes with the pages.
"""

from __future__ import annotations

from duologue.server.pages import data, forms, labels, lists, session, shell, voice

ROUTERS = (shell.routes, session.routes, forms.routes, lists.routes, data.routes, labels.routes, voice.routes)
"""What the pages need, in the order in which addresses are looked at."""
