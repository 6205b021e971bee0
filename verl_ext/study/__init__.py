"""A study: a grid of training runs from a file, made one after the other."""
