"""Both sides of a call at once: the driver of frames, its clock, and what waits to be heard."""
