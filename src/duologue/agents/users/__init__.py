"""Simulated users: played by a model, by rules with a goal and details, or from prepared lines.

All of them read the conversation through ``utterances``. Attackers are users too: see ``duologue.agents.red_team``.
"""
