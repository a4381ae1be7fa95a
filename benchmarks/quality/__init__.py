"""PSNR, SSIM and speed over kinds of noise, beside other denoisers."""
