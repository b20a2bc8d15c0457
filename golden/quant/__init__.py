"""The quantizer: observers, power-of-two search, and the graph builder."""

from golden.quant.bit_widths import BitMap, Widths, bit_map
from golden.quant.build import quantize, quantize_pixels
from golden.quant.options import QuantOptions

__all__ = ["BitMap", "QuantOptions", "Widths", "bit_map", "quantize", "quantize_pixels"]
