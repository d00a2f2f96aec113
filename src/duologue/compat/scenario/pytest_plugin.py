"""The reporter of the pytest plugin, at the module path of the Scenario library.

The plugin itself registers with pytest under the name ``duologue``; it needs no ``-p``.
"""

from __future__ import annotations

from duologue.pytest_plugin import ScenarioReporter

__all__ = ["ScenarioReporter"]
