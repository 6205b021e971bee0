"""Random models of the families that the numerics contract is shown on, tied and untied; a token is a byte."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

LENGTH = 512


def write_tiny_models(folder: Path) -> Iterator[tuple[str, Path]]:
    """Write each below ``folder``; yields its name and its folder."""
    from verl_ext.small_model.architecture import FAMILIES, TINY, random_weights
    from verl_ext.small_model.tokenizer import build_tokenizer

    tokenizer = build_tokenizer(max_length=LENGTH)
    for family, shown in FAMILIES.items():
        for is_tied in (True, False):
            architecture = replace(TINY, max_length=LENGTH, is_tied=is_tied)
            name = f"tiny {shown}, {'tied' if is_tied else 'untied'}"
            path = folder / name.replace(" ", "_").replace(",", "")
            random_weights(architecture, tokenizer, seed=0, family=family).save_pretrained(path)
            tokenizer.save_pretrained(path)
            yield name, path
