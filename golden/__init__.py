"""Golden model: power-of-two post-training quantization and the exact integer ViT it yields."""
