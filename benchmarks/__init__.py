"""Benchmarks: ratios to a peer or to the physical limit, measured within one run."""
