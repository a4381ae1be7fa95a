"""The training loop, on Hugging Face Accelerate: from triplets to `best/` and `last/` checkpoints."""

from contextlib import nullcontext
from pathlib import Path

import torch
from torch import Tensor
from tqdm import tqdm

from hf_denoise.data.loader import Sample
from hf_denoise.training.config import TrainConfig
from hf_denoise.training.interruption import StopRequest
from hf_denoise.training.losses import WeightedMSELoss, count_pixels
from hf_denoise.training.pace import Pace
from hf_denoise.training.recent_steps import READ_EVERY, RecentSteps
from hf_denoise.training.schedule import is_due, learning_rate
from hf_denoise.training.setup import Training, set_up
from hf_denoise.training.summary import announce, outcome


def train(config: TrainConfig) -> Path:
    """Run the training that `config` describes.

    Returns:
        The folder of the best checkpoint, which `DenoisingUNet.from_pretrained` loads.

    Raises:
        UserError: the data, the options or the output folder cannot be used, or the loss is no longer finite.
        KeyboardInterrupt: Ctrl-C or SIGTERM came, and the run is saved; its message says how to go on.
    """
    config.check()
    training = set_up(config)
    accelerator, progress, config = training.accelerator, training.progress, training.config
    announce(training.facts, accelerator, progress.step)
    training.evaluate_start()
    pace, recent = Pace(accelerator), RecentSteps(training)
    loss_function = WeightedMSELoss(config.defect_weight)
    batches = iter(training.data.batches)
    # Agreeing makes a GPU wait. CPUs step slowly: ten steps may well outlast the patience of who asked to stop.
    agree_every = 1 if accelerator.num_processes == 1 or accelerator.device.type == "cpu" else READ_EVERY
    stopped = False

    training.set_mode()
    with (
        StopRequest() as stop,
        tqdm(
            initial=progress.step, total=config.max_steps, unit="step", disable=not accelerator.is_local_main_process
        ) as bar,
    ):
        while True:
            if progress.step % agree_every == 0:
                progress.minutes, stopped = pace.agree(progress.minutes, stop.requested)
            spent = progress.spent(config)
            if stopped or spent >= 1 or 0 < config.early_stopping <= progress.evaluations_since_best:
                break
            rate = learning_rate(config, progress.step, spent)
            if rate is not None:
                for group in training.optimizer.param_groups:
                    group["lr"] = rate
            loss_function.l1 = spent < config.l1_share
            recent.add(*take_step(training, loss_function, pace.wait_for(batches, config.accumulate)))
            progress.step += 1
            training.average()
            bar.update()
            evaluates = is_due(config.eval_every, progress.step) or progress.step == config.max_steps
            reads = is_due(READ_EVERY, progress.step)
            saves = is_due(config.save_every, progress.step) or (reads and progress.is_unsaved(config.save_minutes))
            if evaluates or is_due(config.log_every, progress.step):
                recent.report(pace, bar)
            elif reads or saves:
                recent.read()
            if evaluates:
                training.evaluate()
                if training.publisher:
                    training.publisher.evaluated(training.run.best)
                pace.restart()
            elif saves:
                training.save()
                pace.restart()
    recent.read()
    return finish(training, stopped)


def finish(training: Training, stopped: bool) -> Path:
    """Save what the run has come to and push it; `train` says what is returned and raised."""
    progress = training.progress
    if stopped:
        training.save()
    elif progress.evaluated < progress.step:
        training.evaluate()
    training.accelerator.end_training()
    if stopped:
        raise KeyboardInterrupt(f"stopped at step {progress.step}; '{training.run.last}' is saved, go on with --resume")
    if training.publisher:
        print(training.publisher.finish(training.run.best))
    if training.accelerator.is_main_process:
        print(outcome(training.config, training.run, training.data, progress))
    return training.run.best


def take_step(
    training: Training, loss_function: WeightedMSELoss, parts: list[Sample]
) -> tuple[Tensor, Tensor, list[str]]:
    """One step of the optimizer over batches that count as one.

    Returns:
        The share of this process in the loss, the number of valid pixels of all processes, and the names of the
        triplets of this one.
    """
    accelerator, network = training.accelerator, training.network
    counts = count_pixels((part["mask"], part["valid"]) for part in parts)
    total = torch.zeros((), device=accelerator.device)
    for number, part in enumerate(parts, start=1):
        # Processes exchange gradients once per step.
        with nullcontext() if number == len(parts) else accelerator.no_sync(network):
            output = network(part["degraded"])
            loss = loss_function(output, part["clean"], part["mask"], part["valid"], counts)
            accelerator.backward(loss)
        total += loss.detach()
    accelerator.clip_grad_norm_(training.trained, training.config.clip_norm)
    training.optimizer.step()
    training.optimizer.zero_grad()
    return total, counts.sum(), [name for part in parts for name in part["name"]]
