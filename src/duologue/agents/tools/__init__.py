"""A suite's tools at work: what agents made of models may call, and what happens when they do.

``toolbox`` is the way in. Deciding which tools a model is offered, how often it is asked and what a round may cost is
the business of ``duologue.agents.native``.
"""
