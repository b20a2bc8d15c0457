"""The quantizer: observers, power-of-two search, and the graph builder."""

from golden.quant.options import BitMap, QuantOptions, bit_map
from golden.quant.vit.build import quantize, quantize_pixels

__all__ = ["BitMap", "QuantOptions", "bit_map", "quantize", "quantize_pixels"]
