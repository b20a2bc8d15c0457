"""Rules of the interfaces as hardware: each a named bit, for proofs and for simulations alike."""
