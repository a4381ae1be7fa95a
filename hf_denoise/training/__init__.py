"""A training run: options, data, loop, loss, checkpoints, log and publishing."""
