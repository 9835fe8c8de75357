"""The page of a result folder: it lays out what the other rooms computed, and computes nothing itself."""
