"""The attention unit: softmax codes and values on shifters."""
