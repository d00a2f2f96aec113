"""The web pages of Duologue: ES modules, one style sheet, and the frames of pages. There is no build step.

The same modules show an execution in the report file, in ``duologue view`` and in ``duologue serve``; see
``design/0023-web-pages.md``. What lies in ``static/`` is served as it is, and as one script, which is what pages load.
"""

from duologue.web.assets import POLICY, STATIC, static_file, style, template
from duologue.web.bundle import script
from duologue.web.serving import FIRST_PAGE, StaticAnswer, address_of, app_page, parts_of, static_answer

__all__ = [
    "FIRST_PAGE",
    "POLICY",
    "STATIC",
    "StaticAnswer",
    "address_of",
    "app_page",
    "parts_of",
    "script",
    "static_answer",
    "static_file",
    "style",
    "template",
]
