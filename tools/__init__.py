"""Scripts of the project: set-up, recorded figures, the tables of the README."""
