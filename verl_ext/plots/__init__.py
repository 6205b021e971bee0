"""Plots of pass@k and of training: draw into the axes that are given, save nothing."""
