"""Sample answers with vLLM, grade them, and keep every one of them in a file that survives being killed."""
