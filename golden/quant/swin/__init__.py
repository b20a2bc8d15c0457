"""The quantizer of Swin: shifted windows, patch merging, mean pooling."""
