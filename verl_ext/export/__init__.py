"""Generations files as files of other tools: what those open, show and publish."""
