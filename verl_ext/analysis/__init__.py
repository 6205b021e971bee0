"""What an objective does to a model: diversity of its answers, and its dynamics."""
