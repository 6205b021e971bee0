"""What happens inside the learner's forward and backward pass, on every device: attention over packed rows, log-probs."""
