"""Train on your own triplets: `accelerate launch train.py --data DATA --output runs/x`."""

import sys

from hf_denoise.options import run
from hf_denoise.training import TrainConfig, train


def main() -> int:
    return run(TrainConfig, train, sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
