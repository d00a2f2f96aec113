"""One conversation, from first turn to verdict: who speaks when, what is recorded, how it ends."""
