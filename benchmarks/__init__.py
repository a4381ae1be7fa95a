"""Measurements of hf_denoise, run by `python -m benchmarks`; see README.md."""
