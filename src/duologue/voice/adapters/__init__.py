"""Voice agents, one transport each. Names are loaded when they are first used."""
