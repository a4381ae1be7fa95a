"""Processes that share one command: how they are started, and what they compute together."""
