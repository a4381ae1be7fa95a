"""Train on your own triplets: `accelerate launch train.py --data DATA --output runs/x`."""

import sys

from hf_denoise.distributed.accelerate_cpu import start_cpu_processes

if __name__ == "__main__":
    start_cpu_processes()  # first, as it may leave the work to other processes: these imports take seconds

    from hf_denoise.cli.options import run
    from hf_denoise.training.config import TrainConfig
    from hf_denoise.training.loop import train
    from hf_denoise.training.run_folder import recorded_options

    sys.exit(run(TrainConfig, train, sys.argv[1:], recorded_options))
