"""Run verl's trainer, FSDP2 engines and vLLM rollout on a machine without an accelerator."""
