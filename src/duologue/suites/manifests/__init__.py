"""Files to one suite: dialects, the frame of a manifest, references between resources, everything that can be wrong."""
