"""What a run has saved, as models that others load."""
