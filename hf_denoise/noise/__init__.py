"""Models of noise that turn a clean picture into a degraded one."""
