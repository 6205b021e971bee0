"""Sample n answers a problem, grade them, and print pass@k.

    python eval/eval.py --model_path MODEL --task MATH AIME2025 AMC23 --output_dir outputs/eval
    python eval/eval.py --model_path MODEL --data FILE.parquet --output_path generations.jsonl
    python eval/eval.py --regrade generations.jsonl

MODEL is a hub id, a model folder, a checkpoint of a training run (FSDP shards, LoRA or not), a LoRA adapter, or the
address of an OpenAI-compatible server. Run it again to continue after a kill, or with a larger --num_samples to draw
more. What vLLM prints goes to a log file beside the answers.
"""

import sys

from verl_ext.commands.evaluate import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], __doc__ or ""))
