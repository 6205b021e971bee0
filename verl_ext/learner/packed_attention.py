"""Attention over packed rows with what PyTorch itself brings, as an attention implementation of transformers.

verl packs the samples of a micro-batch into one row and tells the model only by ``position_ids``, which start again at
every sample. flash-attn's kernel for rows of different lengths understands that; it is a package that has to be built,
and without it transformers' own choices either attend across the samples' borders by a mask of (row x row) entries or
compile a kernel per shape. PyTorch ships the same FlashAttention-2 kernel, ``torch.nn.attention.varlen``; where that
does not run (a CPU, float32, a GPU older than Ampere) the samples are laid side by side and padded for attention alone.

    actor_rollout_ref.model.override_config.attn_implementation=packed_sdpa

Letters in shapes: B rows, L tokens of a row, T = B * L tokens, N samples, S tokens of the longest sample, H heads of the
query, K heads of key and value (H is a multiple of K), D numbers of a head.
"""

import weakref
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

NAME = "packed_sdpa"
MAX_KERNEL_HEAD_DIM = 256
"""Numbers of a head that the FlashAttention-2 kernel takes."""
AMPERE = (8, 0)


@dataclass(frozen=True)
class PackedSamples:
    """Where the samples of packed rows begin and end."""

    borders: torch.Tensor
    """(N + 1,) int32: sample n holds the tokens borders[n] up to borders[n + 1] of all T."""
    longest: int
    """S, on the host: the kernel is launched with it."""

    @cached_property
    def places_T(self) -> torch.Tensor:
        """Of each token among the N * S of ``side_by_side``."""
        starts_N, lengths_N = self.borders[:-1].long(), self.borders.diff().long()
        first_N = torch.arange(len(lengths_N), device=lengths_N.device) * self.longest - starts_N
        return torch.repeat_interleave(first_N, lengths_N) + torch.arange(int(lengths_N.sum()), device=lengths_N.device)

    def side_by_side(self, packed: torch.Tensor) -> torch.Tensor:
        """Values (T, ...) of packed tokens with a sample a row, (N, S, ...), 0 behind its end."""
        num_rows, of_token = len(self.borders) - 1, packed.shape[1:]
        rows = packed.new_zeros(num_rows * self.longest, *of_token).index_copy(0, self.places_T, packed)
        return rows.view(num_rows, self.longest, *of_token)

    def packed(self, rows: torch.Tensor) -> torch.Tensor:
        """The way back: (N, S, ...) to (T, ...)."""
        return rows.flatten(0, 1).index_select(0, self.places_T)


def find_samples(position_ids: torch.Tensor) -> PackedSamples:
    """The samples of rows (B, L) whose positions count up by one within a sample and only there."""
    is_start = torch.ones_like(position_ids, dtype=torch.bool)
    is_start[:, 1:] = position_ids.diff(dim=-1) != 1
    starts = is_start.flatten().nonzero().flatten()
    borders = torch.cat([starts, starts.new_tensor([position_ids.numel()])]).to(torch.int32)
    return PackedSamples(borders, int(borders.diff().max()))


_last: tuple[weakref.ref[torch.Tensor], int, int, PackedSamples] | None = None


def _samples_of(position_ids: torch.Tensor, num_rows: int) -> PackedSamples:
    """``find_samples``, once for all layers of a forward pass: it makes the host wait for the device."""
    global _last
    version = position_ids._version
    if _last is None or _last[0]() is not position_ids or _last[1:3] != (version, num_rows):
        samples = find_samples(position_ids.expand(num_rows, -1))
        _last = weakref.ref(position_ids), version, num_rows, samples
    return _last[3]


def _runs_on_kernel(query: torch.Tensor) -> bool:
    """Whether FlashAttention-2 in this build of PyTorch takes these tensors."""
    return (
        query.is_cuda
        and query.dtype in (torch.float16, torch.bfloat16)
        and query.shape[-1] <= MAX_KERNEL_HEAD_DIM
        and torch.version.cuda is not None
        and torch.cuda.get_device_capability(query.device) >= AMPERE
        and torch.backends.cuda.is_flash_attention_available()
    )


def _by_kernel(
    query_THD: torch.Tensor,
    key_TKD: torch.Tensor,
    value_TKD: torch.Tensor,
    samples: PackedSamples,
    scale: float | None,
    window: int | None,
) -> torch.Tensor:
    from torch.nn.attention.varlen import varlen_attn

    # Newer versions ask whether fewer heads of key and value are meant; the kernel takes them either way.
    grouped: dict[str, Any] = {"enable_gqa": True} if "enable_gqa" in (varlen_attn.__kwdefaults__ or {}) else {}
    longest, borders = samples.longest, samples.borders
    # A window of W tokens reaches W - 1 back. (-1, 0) is PyTorch's spelling of causal.
    left = -1 if window is None or window >= longest else window - 1
    output = varlen_attn(
        query=query_THD,
        key=key_TKD,
        value=value_TKD,
        cu_seq_q=borders,
        cu_seq_k=borders,
        max_q=longest,
        max_k=longest,
        scale=scale,
        window_size=(left, 0),
        **grouped,
    )
    assert isinstance(output, torch.Tensor)
    return output


def attend_side_by_side(
    query_THD: torch.Tensor,
    key_TKD: torch.Tensor,
    value_TKD: torch.Tensor,
    samples: PackedSamples,
    scale: float | None,
    window: int | None,
) -> torch.Tensor:
    """One sample a row. Padding stands on the right, where a causal query never looks, so no mask is needed for it."""
    mask = None
    if window is not None and window < samples.longest:
        place = torch.arange(samples.longest, device=query_THD.device)
        distance = place[:, None] - place[None, :]
        mask = (distance >= 0) & (distance < window)
    query, key, value = (samples.side_by_side(tensor).transpose(1, 2) for tensor in (query_THD, key_TKD, value_TKD))
    output_NHSD = torch.nn.functional.scaled_dot_product_attention(
        query,
        key,
        value,
        attn_mask=mask,
        is_causal=mask is None,
        scale=scale,
        enable_gqa=query_THD.shape[1] != key_TKD.shape[1],
    )
    return samples.packed(output_NHSD.transpose(1, 2))


def packed_attention(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    dropout: float = 0.0,
    scaling: float | None = None,
    position_ids: torch.Tensor | None = None,
    sliding_window: int | None = None,
    **kwargs: Any,
) -> tuple[torch.Tensor, None]:
    """Causal attention within each sample of packed rows, in the form in which transformers calls it.

    Args:
        module: The attention layer; asked only where transformers' own sdpa takes over.
        query: (B, H, L, D).
        key: (B, K, L, D).
        value: (B, K, L, D).
        attention_mask: None for packed rows. With a mask (padded rows), transformers' sdpa is what runs.
        dropout: Refused unless 0: a policy's probabilities must not depend on it.
        scaling: Factor of the scores; None is 1 / sqrt(D).
        position_ids: (B, L) or (1, L); each sample counts up from its start. None: every row is one sample.
        sliding_window: A query sees only this many tokens, itself included; None: all before it.

    Returns:
        (B, L, H, D), and None for the weights, which are never made.
    """
    if attention_mask is not None or position_ids is None or query.shape[2] != key.shape[2]:
        attended: tuple[torch.Tensor, None] = sdpa_attention_forward(
            module, query, key, value, attention_mask, dropout=dropout, scaling=scaling, **kwargs
        )
        return attended
    if dropout:
        raise ValueError(f"attn_implementation={NAME} does not support dropout, and the model's is {dropout}.")
    num_rows, num_heads, num_tokens, head_dim = query.shape
    samples = _samples_of(position_ids, num_rows)
    query_THD, key_TKD, value_TKD = (tensor.transpose(1, 2).flatten(0, 1) for tensor in (query, key, value))
    attend = _by_kernel if _runs_on_kernel(query) else attend_side_by_side
    output = attend(query_THD, key_TKD, value_TKD, samples, scaling, sliding_window)
    return output.view(num_rows, num_tokens, num_heads, head_dim), None


def mask_of_padding(*args: Any, attention_mask: torch.Tensor | None = None, **kwargs: Any) -> torch.Tensor | None:
    """No mask for packed rows, whose borders ``packed_attention`` finds itself; sdpa's for padded ones."""
    if attention_mask is None:
        return None
    mask: torch.Tensor | None = sdpa_mask(*args, attention_mask=attention_mask, **kwargs)
    return mask


def register() -> None:
    """Let transformers know ``attn_implementation=packed_sdpa``."""
    AttentionInterface.register(NAME, packed_attention)
    AttentionMaskInterface.register(NAME, mask_of_padding)
