"""Says of a machine, and of a run on it, what would go wrong: ``python -m verl_ext.doctor``."""
