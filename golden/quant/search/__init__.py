"""Scales, factors and weights found from statistics, for any family of networks."""
