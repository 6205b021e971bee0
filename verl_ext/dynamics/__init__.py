"""What a trained model's probabilities are, and what training did to them: in plain torch, on any machine."""
