"""The command line, `hf-denoise`."""
