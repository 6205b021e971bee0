"""Samples of one prompt, with the prompt computed once.

The samples of a group begin with the same prompt, and under causal attention all that a model computes of a prompt is the
same in front of each of them. So a micro-batch becomes one row: each different prompt once, then each response. Everything
but attention looks at one token at a time and does not notice; in attention a prompt sees itself, and a response its prompt
and itself. What comes out is what separate rows give, gradients included, up to rounding. A response's last token, from which
nothing is predicted, is left out.

On a CPU a step waits for arithmetic, and with short answers prompts are most of it. An accelerator's kernels do not know this
layout, and with answers of thousands of tokens there is little to win.

    actor_rollout_ref.model.override_config.attn_implementation=shared_prompts_sdpa

Letters in shapes: G different prompts, N responses, P tokens of the longest prompt, S of the longest response, T tokens of the
row, R tokens of all responses, whose log-probs are read; H heads of the query, K heads of key and value, D numbers of a head.
"""

from collections.abc import Hashable, Sequence
from functools import cached_property
from typing import Any

import torch
from transformers import AttentionInterface, AttentionMaskInterface

from verl_ext.learner import packed_attention
from verl_ext.learner.packed_attention import PackedSamples
from verl_ext.learner.prompt_packing import rows_of

NAME = "shared_prompts_sdpa"
ARGUMENT = "shared_prompts"
"""By this name the layout of a row goes through a model to its attention."""
# ---------------------------------------------------------------------- the row of a micro-batch


def can_share(batch: Any) -> bool:
    """Whether the rows of verl's ``batch`` are prompts and responses of plain text."""
    if "responses" not in batch or not batch["responses"].is_nested or batch["position_ids"].dim() != 2:
        return False
    lengths_B, responses_B = batch["input_ids"].offsets().diff(), batch["responses"].offsets().diff()
    return bool((lengths_B > responses_B).all())


class SharedPrompts:
    """What stands where in the row of a micro-batch: the prompts first, one after the other, then the responses.

    No dataclass and no tuple: FSDP2 would take it apart and give each layer a copy.

    Args:
        batch: A micro-batch of verl's, for which ``can_share`` holds.
    """

    tokens_T: torch.Tensor
    positions_T: torch.Tensor
    prompts: PackedSamples
    """Of the tokens from the first on."""
    responses: PackedSamples
    """Of the tokens behind the prompts; one of a single token has none there."""
    prompt_of_N: torch.Tensor
    read_R: torch.Tensor
    """For each response token the place in the row of the token before it."""
    labels_R: torch.Tensor
    places_R: torch.Tensor
    """For each response token the place among the tokens of all separate rows where verl looks for its log-prob."""
    num_attended: int = 0
    """How often an attention knew this layout."""

    def __init__(self, batch: Any) -> None:
        rows = rows_of(batch)
        borders = batch["input_ids"].offsets().tolist()
        first_of: dict[Hashable, int] = {}
        for number, row in enumerate(rows):
            first_of.setdefault(row.prompt, number)
        of_prompts = [
            torch.arange(borders[first], borders[first] + rows[first].num_prompt) for first in first_of.values()
        ]
        num_prompt_tokens = sum(len(places) for places in of_prompts)
        number_of = {prompt: number for number, prompt in enumerate(first_of)}
        ends_of_prompts = torch.tensor([len(places) for places in of_prompts]).cumsum(0)
        of_responses, read, places = [], [], []
        start = num_prompt_tokens
        for row, end in zip(rows, borders[1:], strict=True):
            begin, size = end - row.num_response, max(row.num_response - 1, 0)
            of_responses.append(torch.arange(begin, begin + size))
            places.append(torch.arange(begin - 1, end - 1))
            last_of_prompt = ends_of_prompts[number_of[row.prompt], None] - 1
            read.append(torch.cat([last_of_prompt, torch.arange(start, start + size)])[: row.num_response])
            start += size
        kept_T, places_R = torch.cat([*of_prompts, *of_responses]), torch.cat(places)
        device, tokens = batch["input_ids"].device, batch["input_ids"].values()
        self.tokens_T = tokens[kept_T.to(device)]
        self.positions_T = batch["position_ids"].values()[kept_T.to(device)]
        self.prompts = _samples_of_lengths([len(places) for places in of_prompts], device)
        self.responses = _samples_of_lengths([len(places) for places in of_responses], device)
        self.prompt_of_N = torch.tensor([number_of[row.prompt] for row in rows], device=device)
        self.read_R = torch.cat(read).to(device)
        self.labels_R = tokens[(places_R + 1).to(device)]
        self.places_R = places_R.to(device)
        self._seen: dict[int | None, torch.Tensor] = {}

    @property
    def num_prompt_tokens(self) -> int:
        return len(self.tokens_T) - self.num_response_tokens

    @cached_property
    def num_response_tokens(self) -> int:
        return int(self.responses.borders[-1])

    def seen_by_responses(self, window: int | None) -> torch.Tensor:
        """(N, S, P + S) bool: which tokens of its prompt and of itself each response token sees; the same in every layer.

        Args:
            window: A token sees only this many, itself included; None: all before it.
        """
        if window not in self._seen:
            self._seen[window] = self._seen_within(window)
        return self._seen[window]

    def _seen_within(self, window: int | None) -> torch.Tensor:
        device = self.prompt_of_N.device
        place_P, place_S = (torch.arange(each.longest, device=device) for each in (self.prompts, self.responses))
        size_N11 = self.prompts.borders.diff().long()[self.prompt_of_N][:, None, None]
        sees_prompt = (place_P < size_N11).expand(-1, len(place_S), -1)
        sees_itself = (place_S[:, None] >= place_S).expand(len(size_N11), -1, -1)
        if window is not None:
            sees_prompt = sees_prompt & (size_N11 + place_S[:, None] - place_P < window)
            sees_itself = sees_itself & (place_S[:, None] - place_S < window)
        return torch.cat([sees_prompt, sees_itself], dim=-1)


def _samples_of_lengths(lengths: Sequence[int], device: torch.device) -> PackedSamples:
    borders = torch.tensor([0, *lengths]).cumsum(0).to(torch.int32)
    return PackedSamples(borders.to(device), max(lengths))


def separate(values_R: torch.Tensor, layout: SharedPrompts, offsets: torch.Tensor) -> torch.Tensor:
    """Values of the responses' tokens in jagged rows with these ``offsets``, where verl looks for them; 0 elsewhere."""
    values_T = values_R.new_zeros(int(offsets[-1])).index_copy(0, layout.places_R, values_R)
    return torch.nested.nested_tensor_from_jagged(values_T, offsets)


# ---------------------------------------------------------------------- attention


def check_attended(layout: SharedPrompts, model_config: Any) -> None:
    """After a forward pass: every layer's attention knew the layout; another one would see across samples.

    Raises:
        RuntimeError: A layer did not.
    """
    num_layers = model_config.num_hidden_layers
    if layout.num_attended < num_layers:
        raise RuntimeError(
            f"{layout.num_attended} of the {num_layers} layers of {model_config.model_type} attended within samples: its "
            "attention cannot share prompts. Set actor_rollout_ref.model.override_config.attn_implementation=packed_sdpa."
        )


def _attend_to_prompts(
    query_THD: torch.Tensor,
    key_TKD: torch.Tensor,
    value_TKD: torch.Tensor,
    layout: SharedPrompts,
    scale: float | None,
    window: int | None,
) -> torch.Tensor:
    """The responses' part: each sees its prompt and itself up to the token."""
    num_prompt_tokens = layout.num_prompt_tokens

    def of_responses(tokens: torch.Tensor) -> torch.Tensor:
        return layout.responses.side_by_side(tokens[num_prompt_tokens:])

    def with_prompts(tokens: torch.Tensor) -> torch.Tensor:
        prompts = layout.prompts.side_by_side(tokens[:num_prompt_tokens])
        return torch.cat([prompts.index_select(0, layout.prompt_of_N), of_responses(tokens)], dim=1).transpose(1, 2)

    output_NHSD = torch.nn.functional.scaled_dot_product_attention(
        of_responses(query_THD).transpose(1, 2),
        with_prompts(key_TKD),
        with_prompts(value_TKD),
        attn_mask=layout.seen_by_responses(window)[:, None],
        scale=scale,
        enable_gqa=query_THD.shape[1] != key_TKD.shape[1],
    )
    return layout.responses.packed(output_NHSD.transpose(1, 2))


def shared_prompts_attention(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    dropout: float = 0.0,
    scaling: float | None = None,
    sliding_window: int | None = None,
    shared_prompts: SharedPrompts | None = None,
    **options: Any,
) -> tuple[torch.Tensor, None]:
    """Attention within a row of shared prompts, in the form in which transformers calls it; ``packed_sdpa`` without one.

    Args:
        query: (1, H, T, D).
        key: (1, K, T, D).
        value: (1, K, T, D).
        dropout: Refused unless 0, as by ``packed_sdpa``.
        sliding_window: A query sees only this many tokens, itself included; None: all before it.
        shared_prompts: The row.

    Returns:
        (1, T, H, D), and None for the weights, which are never made.
    """
    if shared_prompts is None:
        return packed_attention.packed_attention(
            module, query, key, value, attention_mask, dropout, scaling, sliding_window=sliding_window, **options
        )
    if dropout:
        raise ValueError(f"attn_implementation={NAME} does not support dropout, and the model's is {dropout}.")
    shared_prompts.num_attended += 1
    query_THD, key_TKD, value_TKD = (tensor[0].transpose(0, 1) for tensor in (query, key, value))
    of_prompts = slice(shared_prompts.num_prompt_tokens)
    output_THD = packed_attention.attend_side_by_side(
        query_THD[of_prompts],
        key_TKD[of_prompts],
        value_TKD[of_prompts],
        shared_prompts.prompts,
        scaling,
        sliding_window,
    )
    if shared_prompts.num_response_tokens:
        of_responses = _attend_to_prompts(query_THD, key_TKD, value_TKD, shared_prompts, scaling, sliding_window)
        output_THD = torch.cat([output_THD, of_responses])
    return output_THD[None], None


def register() -> None:
    """Let transformers know ``attn_implementation=shared_prompts_sdpa``."""
    AttentionInterface.register(NAME, shared_prompts_attention)
    AttentionMaskInterface.register(NAME, packed_attention.mask_of_padding)
