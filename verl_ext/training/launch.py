"""Start Ray, run verl's V1 trainer in this process, stop Ray.

What ``verl.trainer.main_ppo`` does in a ``TaskRunner`` actor happens in the launching process here: one process less to
start, and the trainer's exceptions and events arrive where the person is.
"""

import os
import signal
import threading
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import ExitStack, contextmanager, suppress
from typing import Any
from uuid import uuid4

import psutil
from omegaconf import DictConfig, OmegaConf

from verl_ext.cpu.preloaded import ld_preload
from verl_ext.patches import STACK_VARIABLE, append_to_metrics_file, patient_start, queue_in_this_process
from verl_ext.training import deterministic
from verl_ext.training.events import STOPPING, TRAINING, emit
from verl_ext.training.metrics_file import VARIABLE
from verl_ext.training.one_process import is_one_process
from verl_ext.training.resources import check_cluster, cluster_of, ray_init_options
from verl_ext.training.run_record import grader_settings

RAY_SHUTDOWN_SECONDS = 1.0
NICENESS = "RAY_worker_niceness"  # Ray's own spelling
RECONNECT_TIMEOUT = "RAY_gcs_rpc_server_reconnect_timeout_s"
SECONDS_WITHOUT_GCS = 30
"""Nobody starts the control service of a Ray of our own again, and Ray waits a minute for it."""


def prepare_environment(config: DictConfig) -> None:
    """Set, for this process, the variables that Ray gives the workers; must run before verl is imported."""
    os.environ.update(_variables(config) | deterministic.variables_of(config))
    # verl's plugin loader hides an import error at DEBUG level; this way of loading the plugin does not.
    modules = [name for name in os.environ.get("VERL_USE_EXTERNAL_MODULES", "").split(",") if name]
    if "verl_ext.plugin" not in modules:
        os.environ["VERL_USE_EXTERNAL_MODULES"] = ",".join([*modules, "verl_ext.plugin"])
    # Ray starts its workers at niceness 15. All of the run but this process would then wait for whatever else is running:
    # beside two busy processes a launch on two cores took minutes.
    os.environ.setdefault(NICENESS, "0")
    if cluster_of(config) is None:
        os.environ.setdefault(RECONNECT_TIMEOUT, str(SECONDS_WITHOUT_GCS))


def environment_at_start(config: DictConfig) -> dict[str, str]:
    """Variables of a run's process that have to be there when it starts: those of its allocator and of OpenMP.

    On a CPU learner and rollout engine are in it, or forked from it.
    """
    if config.trainer.device != "cpu":
        return {}
    return _variables(config) | {"LD_PRELOAD": ld_preload()}


def _variables(config: DictConfig) -> dict[str, str]:
    """Those that the configuration sets, without the ones that it leaves open."""
    variables: Mapping[str, Any] = config.ray_kwargs.ray_init.runtime_env.get("env_vars") or {}
    return {name: str(value) for name, value in variables.items() if value is not None}


@contextmanager
def environment_of(config: DictConfig) -> Iterator[None]:
    """The environment of a run: what all of a stack have, and inside ``with`` the places of this one's results."""
    prepare_environment(config)
    # TensorBoard and the file logger of verl take their folders from the environment.
    folder = config.trainer.output_dir
    places = {"TENSORBOARD_DIR": os.path.join(folder, "tensorboard"), VARIABLE: os.path.join(folder, "metrics.jsonl")}
    own = {name: place for name, place in places.items() if name not in os.environ}
    os.environ.update(own)
    try:
        yield
    finally:
        for name in own:
            del os.environ[name]


def _start_ray(config: DictConfig) -> None:
    import ray
    from verl.plugin.platform import get_platform
    from verl.trainer.constants_ppo import get_ppo_ray_runtime_env

    runtime_env = OmegaConf.to_container(
        OmegaConf.merge(get_ppo_ray_runtime_env(config), config.ray_kwargs.ray_init.runtime_env), resolve=True
    )
    assert isinstance(runtime_env, dict)
    os.environ[STACK_VARIABLE] = uuid4().hex  # also of this process, which on a CPU is learner and server
    runtime_env["env_vars"] = {name: value for name, value in runtime_env["env_vars"].items() if value is not None} | {
        "TRANSFER_QUEUE_ENABLE": "1",
        STACK_VARIABLE: os.environ[STACK_VARIABLE],
        "VERL_USE_EXTERNAL_MODULES": os.environ["VERL_USE_EXTERNAL_MODULES"],
        # The workers of a cluster that was already running have its environment, not this process's.
        **grader_settings(),
    }
    with patient_start(ray._private.services):
        ray.init(**ray_init_options(config), runtime_env=runtime_env)
    if cluster_of(config) is not None:
        check_cluster(config, ray.nodes(), get_platform().ray_resource_name())


def _start_services(config: DictConfig, is_ray_started: threading.Event) -> None:
    import transfer_queue as tq

    _start_ray(config)
    is_ray_started.set()
    with ExitStack() as seams:
        if is_one_process(config):
            from transfer_queue import interface
            from transfer_queue.storage.bootstrap import simple_storage_bootstrap
            from transfer_queue.storage.managers.base import StorageManagerFactory

            from verl_ext.cpu.local_queue import ActorClassHere, StorageHere

            seams.enter_context(
                queue_in_this_process(
                    interface, simple_storage_bootstrap, StorageManagerFactory, ActorClassHere, StorageHere
                )
            )
        tq.init(config.transfer_queue)


def _kill_workers(trainer: Any) -> None:
    """End the actor and rollout processes at once; left to Ray's shutdown, their clean-up takes many seconds."""
    import ray

    groups = [getattr(trainer, name, None) for name in ("actor_rollout_wg", "critic_wg", "ref_policy_wg")]
    servers = getattr(trainer, "llm_server_manager", None)
    handles = [worker for group in groups if group is not None for worker in group.workers]
    handles += [] if servers is None else list(servers.server_handles)
    for handle in handles:
        if isinstance(handle, ray.actor.ActorHandle):  # others are threads of this process
            ray.kill(handle)


def _shut_down_ray() -> None:
    """Shut Ray down, and do not wait for it longer than ``RAY_SHUTDOWN_SECONDS``.

    Ray's driver can take 15 s to let go of actors that are already dead.
    """
    import ray

    shutting_down = threading.Thread(target=ray.shutdown, name="ray-shutdown", daemon=True)
    shutting_down.start()
    shutting_down.join(RAY_SHUTDOWN_SECONDS)


def stop(trainer: Any, others: Sequence[psutil.Process]) -> None:
    """End the run's processes: workers, Ray, and what these would leave.

    Ray's agents outlive the raylet by a minute. What a killed actor has started (vLLM's engine, with the device's memory)
    has nobody to end it: on this machine it is ended here; on the other nodes of a cluster that is left to Ray.

    Args:
        trainer: verl's trainer, or None when the run did not come so far.
        others: Children of this process that are not the run's.
    """
    import transfer_queue as tq

    # Now: they are nobody's children once their parent has ended.
    started = [process for process in psutil.Process().children(recursive=True) if process not in others]
    with ExitStack() as steps:  # from the last to the first, and all of them: on a full disk even a print raises
        steps.callback(end_processes, started)
        steps.callback(_shut_down_ray)
        steps.callback(_kill_workers, trainer)
        steps.callback(tq.close)


def end_processes(processes: Sequence[psutil.Process]) -> None:
    """Kill those that still run; one whose number has gone to another process is left alone."""
    if threading.current_thread() is threading.main_thread():
        # PyTorch's handler raises here when a data loader's worker dies, which these are meant to.
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(processes, timeout=RAY_SHUTDOWN_SECONDS)


def _wait(event: threading.Event, future: "Future[None]") -> None:
    """Wait for ``event``, or for the exception of ``future`` that keeps it from happening."""
    while not event.wait(timeout=0.05):
        if future.done():
            future.result()


def _check_registered(config: DictConfig) -> None:
    """verl knows the names of the objective, the loss and the trainer: the plugin loaded, and the user's modules."""
    from verl.trainer.ppo.core_algos import ADV_ESTIMATOR_REGISTRY, POLICY_LOSS_REGISTRY
    from verl.trainer.ppo.v1.trainer_base import TRAINER_REGISTRY

    modules = os.environ["VERL_USE_EXTERNAL_MODULES"]
    for option, name, registered in (
        ("algorithm.adv_estimator", config.algorithm.adv_estimator, ADV_ESTIMATOR_REGISTRY),
        (
            "actor_rollout_ref.actor.policy_loss.loss_mode",
            config.actor_rollout_ref.actor.policy_loss.loss_mode,
            POLICY_LOSS_REGISTRY,
        ),
        ("trainer.v1.trainer_mode", config.trainer.v1.trainer_mode, TRAINER_REGISTRY),
    ):
        if name not in registered:
            raise RuntimeError(
                f"verl does not know {option}={name}: none of the modules of VERL_USE_EXTERNAL_MODULES={modules} registers "
                f"it. It knows {', '.join(sorted(map(str, registered)))}."
            )


class Stack:
    """Ray, TransferQueue, workers and rollout servers, for one run or, where ``sharing`` allows it, for several.

    ``prepare_environment`` must have run before anything imported verl.
    """

    def __init__(self) -> None:
        self._others = psutil.Process().children(recursive=True)
        self._services = ThreadPoolExecutor(max_workers=1, thread_name_prefix="services")
        self._is_ray_started = threading.Event()
        self._starting: Future[None] | None = None
        self._trainer: Any = None
        self._manager: Any = None

    def train(self, config: DictConfig) -> None:
        """Train as ``config`` says; returns when the last step is done. After an exception the stack is of no more use."""
        config.transfer_queue.enable = True
        OmegaConf.resolve(config)
        if self._starting is None:
            # Ray and TransferQueue start their processes while this one imports the trainer.
            emit("phase", text="starting Ray")
            self._starting = self._services.submit(_start_services, config, self._is_ray_started)
        is_done = False
        try:
            parts = self._parts_of_last_run()
            self._trainer = trainer = self._new_trainer(config)
            if parts is not None:
                trainer.parts = parts
            emit("phase", text="loading the model into the actor and the rollout engine")
            if trainer.trainer_mode != "sync":
                self._starting.result()  # a checkpoint brings samples that were in the queue
            trainer.init()
            self._starting.result()
            self._manager = _agent_loop_manager(config, trainer)
            emit("phase", text=TRAINING)
            trainer.fit(self._manager)
            is_done = True
        finally:
            logger = getattr(self._trainer, "logger", None)
            if logger is not None:
                logger.finish(exit_code=0 if is_done else 1)

    def _parts_of_last_run(self) -> Any:
        """What the last run leaves to this one, and nothing else of it; None for the first."""
        if self._trainer is None:
            return None
        from verl_ext.training.parts import Parts, empty_transfer_queue

        self._manager.stop()
        empty_transfer_queue()
        return Parts.of(self._trainer)

    def _new_trainer(self, config: DictConfig) -> Any:
        from verl.trainer.ppo.utils import need_critic, need_reference_policy
        from verl.trainer.ppo.v1 import get_trainer_cls
        from verl.utils import tracking
        from verl.utils.config import validate_config
        from verl.utils.device import auto_set_device

        append_to_metrics_file(tracking)
        auto_set_device(config)
        _check_registered(config)
        validate_config(
            config=config, use_reference_policy=need_reference_policy(config), use_critic=need_critic(config)
        )
        if config.trainer.device == "cpu":
            import verl_ext.cpu.servers  # vLLM, while Ray starts  # noqa: F401
            from verl_ext.cpu.platform import note_cache

            note_cache(config.actor_rollout_ref.rollout)
        assert self._starting is not None
        _wait(self._is_ray_started, self._starting)
        return get_trainer_cls(config.trainer.v1.trainer_mode)(config=config)

    def stop(self) -> None:
        """End everything that was started."""
        import ray

        emit(STOPPING)
        if self._starting is not None:
            wait([self._starting])
        if ray.is_initialized():
            stop(self._trainer, self._others)
        self._services.shutdown()  # Ray's processes are killed when the thread ends that started them


def _agent_loop_manager(config: DictConfig, trainer: Any) -> Any:
    from verl.trainer.ppo.v1 import AgentLoopManagerTQ
    from verl.utils.import_utils import load_class_from_fqn

    name = config.actor_rollout_ref.rollout.agent.get("agent_loop_manager_class")
    manager_cls = load_class_from_fqn(name, "AgentLoopManager") if name else AgentLoopManagerTQ
    return manager_cls.create(
        config=config,
        llm_client=trainer.get_llm_client(),
        teacher_client=trainer.get_teacher_client(),
        reward_loop_worker_handles=trainer.get_reward_handles(),
    )
