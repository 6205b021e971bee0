"""How much the paper's way of averaging matters, on a small model: gradients of one NSR step, averaged in two ways.

    python benchmarks/aggregation.py --model outputs/quickstart/base

Samples responses to Countdown problems, keeps the wrong ones and compares the gradient of the policy loss with verl's
(the mean over all tokens of the mini-batch), by cosine and by ratio of norms. The paper's is the token mean within each
micro-batch, weighted by its responses (policy_loss.loss_mode=paper).

Micro-batches are packed by a token budget, as with actor.use_dynamic_bsz.
"""

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
from transformers import AutoTokenizer, Qwen2ForCausalLM

from verl_ext.grading.countdown_grader import grade_countdown
from verl_ext.small_model.build import MAX_ANSWER_TOKENS, prompt_text
from verl_ext.small_model.sampling import sample_responses
from verl_ext.tasks.countdown import generate_problems

Row = tuple[list[int], list[int]]


def wrong_rows(model: Qwen2ForCausalLM, tokenizer: AutoTokenizer, num_prompts: int, num_samples: int) -> list[Row]:
    """Prompt and response tokens of the wrong answers."""
    problems = generate_problems(num_prompts, seed=11, split="train")
    prompts = [prompt_text(problem, tokenizer) for problem in problems]
    groups = sample_responses(
        model, tokenizer, prompts, num_samples=num_samples, max_new_tokens=MAX_ANSWER_TOKENS, seed=3
    )
    rows = []
    for problem, prompt, group in zip(problems, prompts, groups, strict=True):
        for response in group:
            if not grade_countdown(response.text, problem.reference, is_truncated=response.is_truncated).is_correct:
                answer = tokenizer(response.text)["input_ids"] + [tokenizer.eos_token_id] * (not response.is_truncated)
                rows.append((tokenizer(prompt)["input_ids"], answer))
    return rows


def packed(rows: Sequence[Row], token_budget: int) -> Iterator[list[Row]]:
    """Micro-batches of at most ``token_budget`` tokens, in the order of the rows."""
    batch: list[Row] = []
    for row in rows:
        if batch and sum(len(p) + len(r) for p, r in [*batch, row]) > token_budget:
            yield batch
            batch = []
        batch.append(row)
    yield batch


def log_probs_of(model: Qwen2ForCausalLM, row: Row) -> torch.Tensor:
    prompt, response = row
    logits_TV = model(torch.tensor([prompt + response])).logits[0, len(prompt) - 1 : -1].log_softmax(dim=-1)
    return logits_TV[torch.arange(len(response)), response]


def gradient(model: Qwen2ForCausalLM, loss: torch.Tensor) -> torch.Tensor:
    parts = torch.autograd.grad(loss, list(model.parameters()), retain_graph=True)
    return torch.cat([part.flatten() for part in parts])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, required=True, help="the small base model")
    parser.add_argument("--num_prompts", type=int, default=16)
    parser.add_argument("--num_samples", type=int, default=16)
    parser.add_argument("--token_budget", type=int, default=512, help="tokens of a micro-batch")
    options = parser.parse_args()
    model = Qwen2ForCausalLM.from_pretrained(options.model, dtype=torch.float32)
    tokenizer = AutoTokenizer.from_pretrained(options.model)
    rows = wrong_rows(model, tokenizer, options.num_prompts, options.num_samples)
    micro_batches = list(packed(rows, options.token_budget))
    num_tokens = sum(len(response) for _, response in rows)
    means, tokens = [], []
    for batch in micro_batches:
        # A = -1 and rho = 1: the loss -A rho has the gradient of the log-probability.
        losses = torch.cat([log_probs_of(model, row) for row in batch])
        means.append(losses.mean() * len(batch) / len(rows))
        tokens.append(losses.sum() / num_tokens)
    verl = gradient(model, sum(tokens))
    paper = gradient(model, sum(means))
    print(f"{len(rows)} wrong responses, {num_tokens} tokens, {len(micro_batches)} micro-batches")
    cosine = torch.nn.functional.cosine_similarity(paper, verl, dim=0)
    print(f"cosine {cosine:.6f}, norm x {paper.norm() / verl.norm():.4f}")


if __name__ == "__main__":
    main()
