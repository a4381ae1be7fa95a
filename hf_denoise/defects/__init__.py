"""Defects that are drawn: into photographs with an exact mask, or as probes of a known shape."""
