"""Programs that no compiler would make, in surroundings at random, and what must hold for each."""
