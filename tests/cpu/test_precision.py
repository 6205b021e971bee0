import json
import subprocess
import sys

import pytest

from verl_ext.cpu import precision

X86 = "processor\t: 0\nvendor_id\t: AuthenticAMD\nflags\t\t: fpu avx2 avx512f {}\n\nprocessor\t: 1\nflags\t\t: fpu\n"
ARM = "processor\t: 0\nFeatures\t: fp asimd {}\nCPU part\t: 0xd4f\n"


@pytest.fixture
def processor(tmp_path, monkeypatch):
    """Pretend that this machine's processor has these flags."""
    for name in ("ATEN_CPU_CAPABILITY", "ONEDNN_MAX_CPU_ISA"):
        monkeypatch.delenv(name, raising=False)

    def has(text):
        file = tmp_path / "cpuinfo"
        file.write_text(text)
        monkeypatch.setattr(precision, "CPUINFO", file)
        precision._flags.cache_clear()

    yield has
    precision._flags.cache_clear()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (X86.format("avx512_bf16"), True),
        (X86.format("amx_bf16"), True),
        (X86.format("avx512_vnni"), False),
        (ARM.format("bf16"), True),
        (ARM.format("asimdhp"), False),
        ("", False),
    ],
)
def test_flags(processor, text, expected):
    processor(text)
    assert precision.has_fast_bfloat16() is expected


def test_no_list_of_flags(processor, tmp_path, monkeypatch):
    processor(X86.format("avx512_bf16"))
    monkeypatch.setattr(precision, "CPUINFO", tmp_path / "absent")
    assert precision.has_fast_bfloat16() is False


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("ATEN_CPU_CAPABILITY", "avx2", False),
        ("ATEN_CPU_CAPABILITY", "avx512", True),
        ("ONEDNN_MAX_CPU_ISA", "AVX2", False),
        ("ONEDNN_MAX_CPU_ISA", "avx512_core", False),
        ("ONEDNN_MAX_CPU_ISA", "AVX512_CORE_BF16", True),
        ("ONEDNN_MAX_CPU_ISA", "DEFAULT", True),
    ],
)
def test_a_bound_on_the_instructions_counts(processor, monkeypatch, name, value, expected):
    processor(X86.format("avx512_bf16"))
    monkeypatch.setenv(name, value)
    assert precision.has_fast_bfloat16() is expected


def test_the_number_of_parameters_is_that_of_all_files(tmp_path):
    assert precision.parameters_in(tmp_path) is None
    for name, shapes in {"a": [[2, 3], [5]], "b": [[7]]}.items():
        tensors = {f"{name}{index}": {"dtype": "F32", "shape": shape} for index, shape in enumerate(shapes)}
        header = json.dumps({"__metadata__": {"format": "pt"}} | tensors).encode()
        (tmp_path / f"{name}.safetensors").write_bytes(len(header).to_bytes(8, "little") + header)
    assert precision.parameters_in(tmp_path) == 2 * 3 + 5 + 7


@pytest.mark.parametrize("flag", ["avx512_bf16", "avx512_vnni"])
@pytest.mark.parametrize("stored", ["bfloat16", "float16", "float32", None])
def test_bfloat16_for_weights_that_have_it_or_are_many_on_a_processor_that_is_fast_in_it(processor, flag, stored):
    processor(X86.format(flag))
    is_fast = flag == "avx512_bf16"
    assert precision.dtype_on_cpu(stored, 300_000) == ("bfloat16" if is_fast and stored == "bfloat16" else "float32")
    assert precision.dtype_on_cpu(stored, 134_515_008) == ("bfloat16" if is_fast else "float32")
    assert precision.dtype_on_cpu(None, None) == "float32"


def test_asking_loads_neither_torch_nor_verl():
    program = (
        "import sys; from verl_ext.cpu.precision import has_fast_bfloat16 as ask; ask();"
        "sys.exit(str({'torch', 'verl', 'vllm', 'ray'} & set(sys.modules) or '') or None)"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16", "float32"])
def test_the_precision_of_the_weights_is_read_from_them(tmp_path, dtype):
    import torch
    from safetensors.torch import save_file

    weights = {name: torch.zeros(2, dtype=getattr(torch, dtype)) for name in "ab"}
    save_file(
        weights | {"scale": torch.zeros(2, dtype=torch.float64)}, tmp_path / "model.safetensors", {"format": "pt"}
    )
    assert precision.stored_dtype(tmp_path) == dtype
    (tmp_path / "config.json").write_text('{"model_type": "qwen2", "dtype": "bfloat16"}')
    precision.correct_dtype(tmp_path)
    assert json.loads((tmp_path / "config.json").read_text()) == {"model_type": "qwen2", "dtype": dtype}


def test_pickled_weights_have_no_precision_that_can_be_read(tmp_path):
    (tmp_path / "pytorch_model.bin").write_bytes(b"")
    assert precision.stored_dtype(tmp_path) is None
    precision.correct_dtype(tmp_path)
    assert not (tmp_path / "config.json").exists()
