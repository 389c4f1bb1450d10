"""Measure speed and memory: `python -m benchmarks --short` or `--full`."""
