"""The external programs: finding, probing and running them. What they are used for lives elsewhere."""
