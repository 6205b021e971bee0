"""What verl's own checkpoint manager saves on three ranks.

FOLDER/fsdp1 has a whole model under FSDP1, FOLDER/fsdp2 one with an adapter under FSDP2; FOLDER/trained the adapter as peft has it.
"""

from pathlib import Path

import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from peft import LoraConfig, get_peft_model
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FullyShardedDataParallel, fully_shard
from transformers import AutoModelForCausalLM, AutoTokenizer
from verl.utils.checkpoint.fsdp_checkpoint_manager import FSDPCheckpointManager

RANKS = 3
"""No size of the model divides by it."""


def work(rank: int, base: str, folder: Path) -> None:
    dist.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=RANKS)
    mesh = init_device_mesh("cpu", (RANKS,), mesh_dim_names=("fsdp",))
    model = AutoModelForCausalLM.from_pretrained(base)
    save(FullyShardedDataParallel(model, device_id=torch.device("cpu"), device_mesh=mesh), base, folder / "fsdp1")

    torch.manual_seed(1)
    lora = LoraConfig(task_type="CAUSAL_LM", r=4, lora_alpha=12, target_modules=["q_proj", "down_proj"])
    model = get_peft_model(AutoModelForCausalLM.from_pretrained(base), lora)
    for name, parameter in model.named_parameters():
        if "lora_" in name:
            torch.nn.init.normal_(parameter, std=0.3)
    if rank == 0:
        model.save_pretrained(folder / "trained")
    for layer in model.get_base_model().model.layers:
        fully_shard(layer, mesh=mesh)
    save(fully_shard(model, mesh=mesh), base, folder / "fsdp2")
    dist.destroy_process_group()


def save(model: torch.nn.Module, base: str, folder: Path) -> None:
    contents = {"save_contents": ["model"], "load_contents": ["model"]}
    tokenizer = AutoTokenizer.from_pretrained(base)
    FSDPCheckpointManager(model, processing_class=tokenizer, checkpoint_config=contents).save_checkpoint(str(folder))


def save_on_three_ranks(base: Path, folder: Path) -> None:
    """Save both, in processes forked from this one: importing takes longer than all the rest."""
    mp.start_processes(work, (str(base), folder), nprocs=RANKS, start_method="fork")
