#!/usr/bin/env python
"""Estimate the hours of each recipe from arithmetic alone; nobody has measured them. Prints the table of recipes/README.md.

python scripts/estimate_hours.py

A step samples 1,024 x 8 responses and passes them through the learner. Seconds of sampling are tokens over an assumed
throughput of vLLM; seconds of learning are floating-point operations over an assumed share of the GPUs' peak:
2 N per token for a forward pass and 6 N for an update, N parameters. Change what you know better.
"""

NUM_GPUS = 8
PEAK_FLOPS = 990e12
"""Of one H200 in bfloat16, dense."""
UTILIZATION = 0.35
"""Of that peak, in packed training of a model of this size. Assumed."""
SAMPLES = 1024 * 8
PROMPT_TOKENS = 180
STEPS = 140

MODELS = {
    # parameters, tokens of a response, sampled tokens per second of a GPU: the last two assumed
    "qwen2.5-math-7b": (7.6e9, 700, 5000),
    "qwen3-4b": (4.0e9, 1000, 8000),
    "llama3.1-8b": (8.0e9, 600, 5000),
}
PASSES = {
    # operations per parameter and token: update 6, old log-probs 2; reference 2; critic's values 2 and update 6
    "psr_nsr": 6 + 2,
    "grpo": 6 + 2 + 2,
    "ppo": 6 + 2 + 2 + 2 + 6,
}


def seconds_of_a_step(model: str, recipe: str) -> float:
    parameters, response_tokens, throughput = MODELS[model]
    sampling = SAMPLES * response_tokens / (throughput * NUM_GPUS)
    # PSR and NSR pass only what they keep; half of the samples over a run is a guess on the high side for NSR.
    share = 0.5 if recipe == "psr_nsr" else 1.0
    tokens = SAMPLES * (PROMPT_TOKENS + response_tokens) * share
    return sampling + PASSES[recipe] * parameters * tokens / (NUM_GPUS * PEAK_FLOPS * UTILIZATION)


def main() -> None:
    print("| | " + " | ".join(PASSES) + " |")
    print("|---|" + "---|" * len(PASSES))
    for model in MODELS:
        cells = []
        for recipe in PASSES:
            seconds = seconds_of_a_step(model, recipe)
            cells.append(f"{seconds / 60:.1f} min a step, {seconds * STEPS / 3600:.0f} h")
        print(f"| {model} | " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()
