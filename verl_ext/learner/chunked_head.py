"""Log-probability and entropy of each label straight from the hidden states, a few tokens at a time.

A language model's head multiplies each hidden state with a matrix of (vocabulary x hidden) numbers. With 50,000 to 150,000
words its logits are the largest tensor of a forward pass by far, and nothing but two numbers a token is read of them.
Here they exist for one chunk of tokens; the backward pass multiplies once more instead of keeping them, and adds what each
chunk says of the head's gradient in float32. verl's ``FusedLinearForPPO`` has the same idea. It reads the head's weight from
outside, which FSDP2 has not gathered when embedding and head are not tied, computes an entropy that nobody asked for, adds
gradients up in the weights' own type, and replaces the forward pass of models that do more to their logits.

``equip`` gives a model a forward pass that returns log-probs and entropies; the engine asks it the way it asks for verl's
fused kernels (``actor_rollout_ref.model.use_fused_kernels``). Tokens that nothing is read of are left out: padding, and where
the engine says which tokens precede a response's, the prompt's.

Letters in shapes: B rows, L tokens of a row, T tokens whose values are read, D numbers of a hidden state, V words.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from types import MethodType
from typing import Any, cast

import torch
from transformers.modeling_outputs import CausalLMOutputWithPast

from verl_ext.learner.token_statistics import CHUNK_NUMBERS, is_entropy_only_reported

CHUNK_NUMBERS_ON_CPU = 2**23
"""Logits that exist at one time, 32 MiB in float32: with half of it, products of 576 and 49,152 numbers take a tenth longer. On an accelerator ``token_statistics.CHUNK_NUMBERS``: there, small
products leave most of the device idle."""

MARK = "_verl_ext_chunked_head"


def _chunks(num_tokens: int, num_words: int, device: str) -> Iterator[slice]:
    size = max(1, (CHUNK_NUMBERS_ON_CPU if device == "cpu" else CHUNK_NUMBERS) // num_words)
    for start in range(0, num_tokens, size):
        yield slice(start, min(start + size, num_tokens))


def _precision_of_product(hidden_TD: torch.Tensor) -> torch.dtype:
    """The type that the head would multiply in: autocast's, where it is on."""
    device = hidden_TD.device.type
    return torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else hidden_TD.dtype


def _logits(hidden_TD: torch.Tensor, weight_VD: torch.Tensor, temperature: float) -> torch.Tensor:
    """(T, V), at least float32; a tensor of its own, which the caller may write over."""
    logits_TV = hidden_TD @ weight_VD.T
    logits_TV = logits_TV.to(torch.promote_types(logits_TV.dtype, torch.float32))
    return logits_TV if temperature == 1.0 else logits_TV.div_(temperature)


class _LabelStatistics(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        hidden_TD: torch.Tensor,
        weight_VD: torch.Tensor,
        labels_T: torch.Tensor,
        temperature: float,
        with_entropy: bool,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        device = hidden_TD.device.type
        ctx.dtype = _precision_of_product(hidden_TD)
        with torch.autocast(device, enabled=False):
            hidden, weight = hidden_TD.to(ctx.dtype), weight_VD.to(ctx.dtype)
            statistics_dtype = torch.promote_types(ctx.dtype, torch.float32)
            log_probs_T = torch.empty(len(labels_T), dtype=statistics_dtype, device=hidden.device)
            normalizers_T = torch.empty_like(log_probs_T)
            entropy_T = torch.empty_like(log_probs_T) if with_entropy else log_probs_T.new_zeros(0)
            for rows in _chunks(len(labels_T), len(weight), device):
                logits = _logits(hidden[rows], weight, temperature)
                normalizers_T[rows] = torch.logsumexp(logits, dim=-1)
                log_probs_T[rows] = logits.gather(-1, labels_T[rows, None]).squeeze(-1) - normalizers_T[rows]
                if with_entropy:
                    log_probs = logits.sub_(normalizers_T[rows, None])
                    entropy_T[rows] = -torch.linalg.vecdot(log_probs.exp(), log_probs)
        ctx.temperature, ctx.has_entropy = temperature, with_entropy
        ctx.save_for_backward(hidden_TD, weight_VD, labels_T, normalizers_T, entropy_T)
        ctx.set_materialize_grads(False)
        return log_probs_T, entropy_T

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor | None) -> tuple[torch.Tensor | None, ...]:
        """d log p(y) / d z = [v = y] - p(v) and d H / d z = -p(v) (log p(v) + H), with z the logits over the temperature."""
        for_log_prob_T, for_entropy_T = gradients
        hidden_TD, weight_VD, labels_T, normalizers_T, entropy_T = ctx.saved_tensors
        if not ctx.has_entropy:
            for_entropy_T = None
        hidden, weight = hidden_TD.to(ctx.dtype), weight_VD.to(ctx.dtype)
        wants_hidden, wants_weight = ctx.needs_input_grad[:2]
        hidden_gradient_TD = torch.empty_like(hidden_TD) if wants_hidden else None
        sum_dtype = torch.promote_types(ctx.dtype, torch.float32)
        weight_gradient_VD = torch.zeros_like(weight_VD, dtype=sum_dtype) if wants_weight else None
        for rows in _chunks(len(labels_T), len(weight), hidden.device.type):
            log_probs = _logits(hidden[rows], weight, ctx.temperature).sub_(normalizers_T[rows, None])
            if for_entropy_T is None:
                gradient = log_probs.exp_()
                gradient.mul_(_column(for_log_prob_T, rows).neg())
            else:
                gradient = log_probs.exp()
                factor = log_probs.add_(entropy_T[rows, None]).mul_(for_entropy_T[rows, None])
                if for_log_prob_T is not None:
                    factor.add_(_column(for_log_prob_T, rows))
                gradient.mul_(factor).neg_()
            if for_log_prob_T is not None:
                gradient.scatter_add_(-1, labels_T[rows, None], _column(for_log_prob_T, rows).to(gradient.dtype))
            if ctx.temperature != 1.0:
                gradient.div_(ctx.temperature)
            gradient = gradient.to(ctx.dtype)
            if hidden_gradient_TD is not None:
                hidden_gradient_TD[rows] = (gradient @ weight).to(hidden_gradient_TD.dtype)
            if weight_gradient_VD is not None:
                _add_product(weight_gradient_VD, gradient.T, hidden[rows])
        if weight_gradient_VD is not None:
            weight_gradient_VD = weight_gradient_VD.to(weight_VD.dtype)
        return hidden_gradient_TD, weight_gradient_VD, None, None, None


def _column(values_T: torch.Tensor | None, rows: slice) -> torch.Tensor:
    assert values_T is not None  # autograd asks only where one of the two is there
    return values_T[rows, None]


def _add_product(total: torch.Tensor, left: torch.Tensor, right: torch.Tensor) -> None:
    if total.dtype == left.dtype:
        total.addmm_(left, right)
    else:
        total.add_(left @ right)


def label_statistics(
    hidden_TD: torch.Tensor,
    weight_VD: torch.Tensor,
    labels_T: torch.Tensor,
    *,
    temperature: float = 1.0,
    with_entropy: bool = True,
) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Log-probability of each label, and the entropy in nats, under the softmax of ``hidden @ weight.T / temperature``.

    The product is in the type that the head would multiply in (autocast's, where it is on); all that follows is in float32,
    or in float64 for float64.

    Args:
        labels_T: int64, each in [0, V).
        with_entropy: Compute the entropy; its gradient too, unless ``entropy_only_reported`` is on.

    Returns:
        (T,) log-probs and (T,) entropies, or None in their place.
    """
    log_probs_T, entropy_T = _LabelStatistics.apply(hidden_TD, weight_VD, labels_T, temperature, with_entropy)  # type: ignore[no-untyped-call]
    if not with_entropy:
        return log_probs_T, None
    return log_probs_T, entropy_T.detach() if is_entropy_only_reported() else entropy_T


# ---------------------------------------------------------------------- inside a model


@dataclass
class LabelStatistics(CausalLMOutputWithPast):
    """A model's output under the names that verl's engine reads; both (B, L), 0 where nothing was asked for.

    With ``read_R`` both (R,), for the tokens that it names.
    """

    log_probs: torch.Tensor | None = None
    entropy: torch.Tensor | None = None


def _head_forward(
    head: torch.nn.Linear,
    hidden: torch.Tensor,
    labels_T: torch.Tensor | None = None,
    temperature: float = 1.0,
    with_entropy: bool = True,
) -> Any:
    """The logits, or with labels their statistics. Inside the head's own call, where FSDP2 has gathered its weight."""
    if labels_T is None:
        return torch.nn.functional.linear(hidden, head.weight)
    return label_statistics(hidden, head.weight, labels_T, temperature=temperature, with_entropy=with_entropy)


def _model_forward(
    model: Any,
    input_ids: torch.Tensor,
    attention_mask: torch.Tensor | None = None,
    *,
    temperature: float = 1.0,
    shift_labels: torch.Tensor | None = None,
    is_read: torch.Tensor | None = None,
    read_R: torch.Tensor | None = None,
    labels_R: torch.Tensor | None = None,
    with_entropy: bool = True,
    return_dict: bool = True,
    **options: Any,
) -> LabelStatistics:
    """Statistics of the token that follows each.

    Args:
        input_ids: (B, L).
        attention_mask: (B, L), 1 on tokens and 0 on padding; None for packed rows.
        shift_labels: (B, L), the tokens that follow; by default those of ``input_ids``, the first after the last.
        is_read: (B, L) bool, where the result is read; by default wherever there is a token.
        read_R: In place of these two, places among all B * L tokens, of which some may be there more than once,
        labels_R: and the token of which each is to give the log-prob.
        options: For the layers below the head.
    """
    del return_dict  # verl's engine says so; there is no other way
    hidden_BLD = model.base_model(input_ids=input_ids, attention_mask=attention_mask, **options)[0]
    if read_R is not None:
        hidden_RD = hidden_BLD.flatten(0, 1).index_select(0, read_R)
        log_probs_R, entropy_R = model.get_output_embeddings()(
            hidden_RD, labels_R, temperature=float(temperature), with_entropy=with_entropy
        )
        return LabelStatistics(log_probs=log_probs_R, entropy=entropy_R)
    labels_BL = torch.roll(input_ids, shifts=-1, dims=-1) if shift_labels is None else shift_labels
    if is_read is None:
        is_read = torch.ones_like(labels_BL, dtype=torch.bool) if attention_mask is None else attention_mask.bool()
    log_probs_T, entropy_T = model.get_output_embeddings()(
        hidden_BLD[is_read], labels_BL[is_read], temperature=float(temperature), with_entropy=with_entropy
    )

    def spread(values_T: torch.Tensor) -> torch.Tensor:
        return values_T.new_zeros(is_read.shape).masked_scatter(is_read, values_T)

    return LabelStatistics(log_probs=spread(log_probs_T), entropy=None if entropy_T is None else spread(entropy_T))


def equip(model: Any) -> None:
    """Let ``model`` (one of transformers' causal language models) return ``LabelStatistics`` in place of logits.

    Raises:
        RuntimeError: Its head is more than a matrix. The launcher looks too (``verl_ext.training.head``), and sees only what
            the model's configuration says.
    """
    head = model.get_output_embeddings()
    if type(head) is not torch.nn.Linear or getattr(head, "bias", None) is not None:
        raise RuntimeError(
            f"The head of {type(model).__name__} is {head}, and only a linear layer without bias can be computed in chunks: "
            "set actor_rollout_ref.model.use_fused_kernels=False."
        )
    cast(Any, head).forward = MethodType(_head_forward, head)
    model.forward = MethodType(_model_forward, model)
    setattr(model, MARK, True)


def is_equipped(module: torch.nn.Module) -> bool:
    """Whether ``equip`` has had the language model inside ``module`` (FSDP's and PEFT's wrappers of it included)."""
    return any(getattr(inner, MARK, False) for inner in module.modules())


def asked_of(micro_batch: Any, model_inputs: dict[str, Any], *, is_split: bool) -> dict[str, Any]:
    """What the forward pass of a micro-batch of verl's is asked for beside verl's own ``model_inputs``.

    Args:
        is_split: The rows are split between ranks, so that ``model_inputs`` holds a part of them.
    """
    from verl.utils import tensordict_utils as tu

    with_entropy = bool(tu.get_non_tensor_data(data=micro_batch, key="calculate_entropy", default=False))
    is_read = None if is_split else _tokens_before_responses(micro_batch, model_inputs["input_ids"].shape)
    return {"with_entropy": with_entropy, "is_read": is_read}


def _tokens_before_responses(micro_batch: Any, shape: torch.Size) -> torch.Tensor | None:
    """Where a log-prob of a response stands in rows of prompt and response: on the token before its own.

    Args:
        micro_batch: With jagged ``input_ids`` and ``responses``, or without ``responses``.
        shape: (B, L) of the padded rows, or (1, L) of the packed ones with what is appended to them.

    Returns:
        (B, L) bool; None where the batch does not say what its responses are.
    """
    if "responses" not in micro_batch or not micro_batch["responses"].is_nested:
        return None
    offsets = micro_batch["input_ids"].offsets()
    sizes_B, responses_B = offsets.diff(), micro_batch["responses"].offsets().diff()
    if len(sizes_B) == shape[0] and len(sizes_B) > 1:
        place, ends_B = torch.arange(shape[1], device=offsets.device), sizes_B - 1
        is_read: torch.Tensor = (place >= (ends_B - responses_B)[:, None]) & (place < ends_B[:, None])
        return is_read
    ends_B = offsets[1:] - 1
    steps = torch.zeros(shape[1] + 1, dtype=torch.long, device=offsets.device)
    steps.index_add_(0, ends_B - responses_B, torch.ones_like(ends_B)).index_add_(0, ends_B, -torch.ones_like(ends_B))
    return (steps.cumsum(0)[:-1] > 0)[None]
