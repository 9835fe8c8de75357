"""What the cells of a process are: Liberty files, typed libraries, and where PDKs come from."""
