"""Images in, denoised images out: tiles, grey pictures, what was removed, export to ONNX."""
