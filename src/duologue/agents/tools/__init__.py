"""The tools of a suite: what native agents may call, and what happens when they do.

``toolbox`` is the way in. Deciding which tools a model is offered, how often it is asked and what a round may cost is
the business of ``duologue.agents.native``.
"""
