"""PoTViT as a library and as one command."""
