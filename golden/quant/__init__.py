"""The quantizer: observers, power-of-two search, and the graph builder."""

from golden.quant.build import quantize, quantize_pixels
from golden.quant.options import BitMap, QuantOptions, bit_map

__all__ = ["BitMap", "QuantOptions", "bit_map", "quantize", "quantize_pixels"]
