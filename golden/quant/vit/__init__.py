"""The quantizer of DeiT and ViT."""
