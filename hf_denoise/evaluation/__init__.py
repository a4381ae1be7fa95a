"""Measuring a denoiser over a data set: numbers, cases, other denoisers, the report."""
