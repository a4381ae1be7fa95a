"""What the benchmarks share: options, the machine, clocks, tables, and pictures."""
