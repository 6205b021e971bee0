"""Files for schedulers: they agree with themselves and with the recipes, and Slurm's hands the recipe's exit code on."""

import os
import re
import shlex
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.recipes.conftest import start

ROOT = Path(__file__).parents[2]
SRUN = """#!/bin/bash
# One node, whose Ray never starts: only what is to run on the first one does.
printf '%s\\n' "$*" >>"$CALLS"
[[ $* == *hostname* ]] && { echo 10.1.2.3 10.9.9.9; exit; }
[[ -n ${NO_RAY:-} ]] && exit
while [[ $1 != -- ]]; do shift; done
shift
exec "$@"
"""


def test_kuberay_has_as_many_devices_everywhere():
    spec = yaml.safe_load((ROOT / "launch/kuberay.yaml").read_text())["spec"]
    variables = yaml.safe_load(spec["runtimeEnvYAML"])["env_vars"]
    cluster = spec["rayClusterSpec"]
    groups = [cluster["headGroupSpec"], *cluster["workerGroupSpecs"]]
    assert sum(group.get("replicas", 1) for group in groups) == int(variables["NNODES"])
    for group in groups:
        (container,) = group["template"]["spec"]["containers"]
        assert container["resources"]["limits"] == {"nvidia.com/gpu": int(variables["N_GPUS"])}
        volumes = {volume["name"] for volume in group["template"]["spec"]["volumes"]}
        assert {mount["name"] for mount in container["volumeMounts"]} == volumes


def test_the_ray_of_the_launchers_is_the_locked_one():
    locked = [line for line in (ROOT / "requirements/gpu.txt").read_text().splitlines() if line.startswith("ray==")]
    version = yaml.safe_load((ROOT / "launch/kuberay.yaml").read_text())["spec"]["rayClusterSpec"]["rayVersion"]
    assert [line.split()[0].rstrip(";") for line in locked] == [f"ray=={version}"]


def test_skypilots_names_a_recipe():
    task = yaml.safe_load((ROOT / "launch/skypilot.yaml").read_text())
    assert (ROOT / task["envs"]["RECIPE"]).is_file()
    assert subprocess.run(["bash", "-n"], input=task["run"], text=True, check=False).returncode == 0


def commands(name):
    """Every command with launch/``name`` that the file itself and recipes/README.md tell, as words."""
    typed = [
        line.removeprefix("#   ") for line in (ROOT / "launch" / name).read_text().splitlines() if line[:4] == "#   "
    ]
    for line in (ROOT / "recipes/README.md").read_text().splitlines():
        typed += re.findall("`([^`]+)`", line)
    return [shlex.split(line) for line in typed if f"launch/{name}" in line and " " in line]


def of_slurm():
    for words in commands("slurm.sbatch"):
        place = words.index("launch/slurm.sbatch")
        knobs = dict(word.split("=", 1) for word in words[: words.index("sbatch")])
        yield words[place + 1], words[place + 2 :], knobs


def of_skypilot():
    variables = yaml.safe_load((ROOT / "launch/skypilot.yaml").read_text())["envs"]
    for words in [[], *commands("skypilot.yaml")]:
        given = [words[place + 1] for place, word in enumerate(words) if word == "--env"]
        knobs = variables | dict(word.split("=", 1) for word in given)
        yield knobs.pop("RECIPE"), knobs.pop("ARGUMENTS").split(), knobs


def of_kuberay():
    spec = yaml.safe_load((ROOT / "launch/kuberay.yaml").read_text())["spec"]
    _cd, recipe = shlex.split(spec["entrypoint"])[2].split(" && ")
    yield recipe.split()[1], recipe.split()[2:], yaml.safe_load(spec["runtimeEnvYAML"])["env_vars"]


@pytest.mark.parametrize("starts", [of_slurm, of_skypilot, of_kuberay])
def test_the_recipe_takes_what_it_is_started_with(starts, tmp_path):
    for task in ("math_train", "math_test", "aime2025_test", "amc23_test"):
        (tmp_path / f"{task}.parquet").touch()
    found = list(starts())
    assert found
    for place, (recipe, arguments, knobs) in enumerate(found):
        if (recipe, arguments, knobs) in found[:place]:
            continue
        done = start(recipe.removeprefix("recipes/"), *arguments, "--cfg", DATA_DIR=tmp_path, MODEL_PATH="m", **knobs)
        assert done.returncode == 0, done.stderr
        assert f"\n  advantage: {knobs['ADVANTAGE']}\n" in done.stdout


@pytest.fixture
def sbatch(tmp_path):
    """Runs launch/slurm.sbatch as Slurm does, from a copy, with stubs of its commands; returns the process and their calls."""
    (tmp_path / "srun").write_text(SRUN)
    (tmp_path / "scontrol").write_text("#!/bin/bash\necho first; echo second\n")
    (tmp_path / "recipe.sh").write_text('echo "$RAY_ADDRESS $NNODES $N_GPUS $*"; exit ${CODE:-0}\n')
    copy = tmp_path / "spool.sh"
    copy.write_text((ROOT / "launch/slurm.sbatch").read_text())
    for name in ("srun", "scontrol"):
        (tmp_path / name).chmod(0o755)

    calls = tmp_path / "calls"

    def run(*arguments, **variables):
        env = os.environ | {
            "PATH": f"{tmp_path}:{os.environ['PATH']}",
            "CALLS": str(calls),
            "SLURM_SUBMIT_DIR": str(ROOT),
            "SLURM_JOB_NODELIST": "nodes[1-2]",
            "SLURM_JOB_NUM_NODES": "2",
            "SLURM_GPUS_ON_NODE": "8",
        }
        recipe = [str(tmp_path / argument) if argument.endswith(".sh") else argument for argument in arguments]
        command = ["bash", str(copy), *recipe]
        done = subprocess.run(command, env=env | variables, cwd=tmp_path, capture_output=True, text=True, check=False)
        return done, calls.read_text().splitlines() if calls.exists() else []

    return run


def test_slurm_starts_the_recipe_on_all_nodes(sbatch):
    done, calls = sbatch(
        "recipe.sh", "trainer.test_freq=5", "trainer.save_freq=20", RAY_START_OPTIONS="--num-cpus=64 --num-gpus=1"
    )
    assert (done.returncode, done.stdout) == (0, "10.1.2.3:6379 2 8 trainer.test_freq=5 trainer.save_freq=20\n"), (
        done.stderr
    )
    assert calls[0].startswith("--nodes=1 --ntasks=1 --nodelist=first ")
    assert "--nodes=2" in calls[1]
    assert "symmetric-run --address 10.1.2.3:6379 --min-nodes 2 --num-cpus=64 --num-gpus=1 -- " in calls[1]


@pytest.mark.parametrize(("code", "no_ray"), [("0", "yes"), ("3", "")])
def test_slurm_says_that_it_failed(sbatch, code, no_ray):
    """Also where Ray does not start, of which ray symmetric-run makes a success."""
    done, _calls = sbatch("recipe.sh", CODE=code, NO_RAY=no_ray)
    assert done.returncode == (1 if no_ray else 3)
    assert ("Ray did not start over the 2 nodes" in done.stderr) == bool(no_ray)
    assert not list(ROOT.glob(".slurm-*"))


@pytest.mark.parametrize("arguments", [(), ("recipes/none.sh",)])
def test_slurm_wants_a_recipe(sbatch, arguments):
    done, calls = sbatch(*arguments)
    assert done.returncode == 1
    assert calls == []
