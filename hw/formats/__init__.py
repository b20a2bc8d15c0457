"""How words of memories are made up, and what there is of each."""
