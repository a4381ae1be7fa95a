"""The old address of `load_triplets`, which cards of published datasets name."""

from hf_denoise.data.triplets import load_triplets as load_triplets
