"""Evaluation while training: mean figures over the validation images."""

import torch
from accelerate import Accelerator
from torch import nn
from torch.utils.data import DataLoader
from tqdm import tqdm

from hf_denoise.data.loader import Sample
from hf_denoise.metrics.quality import psnr, ssim


@torch.no_grad()
def validate(model: nn.Module, loader: DataLoader[Sample], accelerator: Accelerator) -> dict[str, float]:
    """Means over the images, equal on every process: `psnr` (dB), `ssim`, `defect_psnr` (dB, NaN without defects)."""
    model.eval()
    rows = []
    for batch in tqdm(loader, desc="validation", leave=False, disable=not accelerator.is_local_main_process or None):
        with accelerator.autocast():
            output = model(batch["degraded"])
        image = output.float().clamp(0, 1)[0].permute(1, 2, 0).cpu().numpy()
        clean = batch["clean"][0].permute(1, 2, 0).cpu().numpy()
        mask = batch["mask"][0, 0].cpu().numpy() > 0
        row = torch.tensor([[psnr(image, clean), ssim(image, clean), psnr(image, clean, mask)]])
        rows.append(accelerator.gather_for_metrics(row.to(accelerator.device)).cpu())
    table = torch.cat(rows)
    means = table.nanmean(dim=0).tolist()
    means[0] = table[:, 0].mean().item()  # an image is too small for SSIM, or has no defect; but every one has a PSNR
    return dict(zip(("psnr", "ssim", "defect_psnr"), means, strict=True))
