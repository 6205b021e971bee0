"""PSR, NSR, W-REINFORCE and REINFORCE as pure functions of outcomes and masks: no verl, no Ray, no config classes."""
