"""Train on your own triplets: `accelerate launch train.py --data DATA --output runs/x`."""

import sys

from hf_denoise.launch import start_cpu_processes

if __name__ == "__main__":
    start_cpu_processes()  # first, as it may leave the work to other processes: these imports take seconds

    from hf_denoise.options import run
    from hf_denoise.run_folder import recorded_options
    from hf_denoise.train_config import TrainConfig
    from hf_denoise.training import train

    sys.exit(run(TrainConfig, train, sys.argv[1:], recorded_options))
