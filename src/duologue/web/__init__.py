"""The web pages of Duologue: ES modules, one style sheet, and the frames of pages. There is no build step.

The same modules show an execution in the report file, in ``duologue view`` and in ``duologue serve``; see
``design/0023-web-pages.md``. What lies in ``static/`` is served as it is; a report file gets it as one script.
"""

from duologue.web.assets import POLICY, STATIC, static_file, style, template
from duologue.web.bundle import app_page, script

__all__ = ["POLICY", "STATIC", "app_page", "script", "static_file", "style", "template"]
