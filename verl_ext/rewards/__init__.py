"""verl's reward contract, a few lines over verl_ext.grading."""
