"""Whether small defects survive denoisers, by probes, and whether the probes are right."""
