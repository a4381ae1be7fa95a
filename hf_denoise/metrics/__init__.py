"""PSNR and SSIM, the same inside defects, their contrast, and the structure in what was removed."""
