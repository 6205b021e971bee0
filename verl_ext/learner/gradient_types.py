"""In which type FSDP2 hands gradients back, settled before the first pass."""

import torch
from torch.distributed.fsdp import FSDPModule


def settle_gradient_types(module: torch.nn.Module) -> None:
    """Let FSDP2 look at ``module`` now, while what is trained is trainable (``torch.distributed.fsdp``, 2.11 and 2.13).

    At its first forward pass FSDP2 notes the type of the gradients of each group that has a trainable parameter then. With an
    adapter, a reference's log-probs come from a pass in which PEFT has frozen it; where that is a run's first
    (``algorithm.one_pass``), bfloat16 gradients reach float32 parameters later, and torch stops. There is no public call.
    """
    if isinstance(module, FSDPModule):
        module._get_fsdp_state()._lazy_init()
