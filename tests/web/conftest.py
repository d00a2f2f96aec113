"""Browser and rules of accessibility."""

from pages import axe, browser, opened  # noqa: F401 -- fixtures
