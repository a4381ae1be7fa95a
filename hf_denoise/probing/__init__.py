"""Would a defect survive in this picture? Known small defects are put in, and looked for in what a denoiser gives."""
