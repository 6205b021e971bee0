"""Pretrained models: fetched, checked and made into a folder that transformers, vLLM and verl load."""
