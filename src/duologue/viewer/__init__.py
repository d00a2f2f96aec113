"""``duologue view``: pages over a folder of results. No database, nothing to set up, and nothing is written into it.

Nothing but labels, that is: those are kept beside the results, as ``duologue label`` keeps them.
"""
