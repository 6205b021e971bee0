"""verl's trainers, watched: its guards, its early end, which checkpoints stay, and what they keep of all that."""

from pathlib import Path
from typing import Any

import numpy as np
from verl.trainer.ppo.v1.trainer_base import PPOTrainer

from verl_ext.training import ending, tensorboard_events
from verl_ext.training.checkpoints import checkpoints_folder
from verl_ext.training.events import emit
from verl_ext.training.guards import roll_back, rollout_gap
from verl_ext.training.guards.guard import Moment
from verl_ext.training.guards.guardrails import Guardrails
from verl_ext.training.kept_checkpoints import KeptCheckpoints


class GuardedTrainer(PPOTrainer):
    """Asks ``trainer.guardrails`` and ``trainer.ends_early`` where its subclass says that there is something to see.

    A subclass has one of verl's trainers as a second base, whose steps are meant where this one calls its super.
    """

    total_training_steps: int
    _restored_step: int | None = None
    """Of the run's own checkpoint that it goes on from."""

    def _set_up_guards(self) -> None:
        self._guardrails = Guardrails.of(self.config)
        self._ending = ending.Ending(ending.EndingRules.of(self.config))
        self._checkpoints = KeptCheckpoints(self.config)

    def _look(self, moment: Moment, metrics: dict[str, Any]) -> None:
        """Ask the guards; raises what the run ends with where one of them wants that, with the step on record so far."""
        numbers = numbers_of(metrics)
        finding = self._guardrails.look(moment, self.global_steps, numbers)
        if finding is not None:
            self.logger.log(data=numbers | self._guardrails.counters, step=self.global_steps)
            raise roll_back.ending_of(finding, self._guardrails, self.config, self._checkpoints.with_actor)

    def _look_at_gap(self, gap: float | None, num_tokens: int) -> None:
        """Ask whether the step's samples come from the weights that they are about to train; None: nothing tells."""
        told = {} if gap is None else {rollout_gap.METRIC: gap}
        self._look(Moment.COMPARED, told | {rollout_gap.NUM_TOKENS: num_tokens})

    def _end_where_it_should(self) -> None:
        """Make this step, which is over, the last one where ``trainer.ends_early`` or a guard says so."""
        reason = self._ending.reason() or self._guardrails.end_reason
        if reason is None or self.global_steps >= self.total_training_steps:
            return
        best = self._checkpoints.best
        if best is not None:
            reason += f"; the best checkpoint is that of step {best.step}, with {best.value:.4f}"
        if self.config.trainer.save_freq > 0:
            if not self._checkpoints.is_saved(self.global_steps):
                self._save_checkpoint()
            ending.write_ended(Path(self.config.trainer.default_local_dir), self.global_steps, reason)
        emit("phase", text=f"ends at step {self.global_steps}: {reason}")
        self.total_training_steps = self.global_steps

    def _see_step(self, metrics: dict[str, Any]) -> None:
        """A step is over, with its checkpoint and its validation."""
        self._look(Moment.STEP, metrics)
        metrics |= self._guardrails.counters
        self._checkpoints.settle(self.global_steps, self._save_checkpoint)
        if self._checkpoints.is_saved(
            self.global_steps
        ):  # verl saves before it validates; what was seen since belongs to it too
            self._save_what_was_seen()
        self._end_where_it_should()

    def _see_validation(self, metrics: dict[str, float]) -> None:
        """A validation: the guards see it with its step, and the one before the first step has none.

        Nor has that of a checkpoint which a resumed run begins with, since it was not made: with it that step is over.
        """
        self._checkpoints.see_validation(self.global_steps, metrics)
        self._ending.see_validation(self.global_steps, metrics)
        is_training = not self.config.trainer.val_only
        if self.global_steps == 0:
            self._look(Moment.STEP, metrics)
            if is_training:
                self._checkpoints.settle(0, self._save_checkpoint)
        elif self.global_steps == self._restored_step and is_training:
            self._see_step(metrics)

    def on_train_begin(self) -> None:
        """verl's, where a step is left to make: its asynchronous trainer asks for answers ahead."""
        if self.global_steps <= self.total_training_steps:
            super().on_train_begin()

    def on_step_begin(self) -> None:
        """verl's; all that was logged of earlier steps is on the disk before a checkpoint is that they are not made again for."""
        super().on_step_begin()
        tensorboard_events.flush(self.logger)

    @property
    def _step_folder(self) -> Path:
        """Where verl saves this step, if it does."""
        return self._checkpoints.folder_of(self.global_steps)

    def _save_checkpoint(self) -> None:
        with self._checkpoints.saving(self.global_steps):
            # Before the tracker names the step: a run that is killed after that has to find it.
            self._save_what_was_seen()
            super()._save_checkpoint()

    def _save_what_was_seen(self) -> None:
        self._guardrails.save(self._step_folder)
        self._ending.save(self._step_folder)

    def _load_checkpoint(self) -> None:
        super()._load_checkpoint()
        self._checkpoints.restore(self.global_steps or None)
        trainer = self.config.trainer
        folder = Path(trainer.resume_from_path) if trainer.resume_mode == "resume_path" else self._step_folder
        if self.global_steps:
            self._ending.restore(folder)
            self._guardrails.restore(folder)
            self._restored_step = self.global_steps if folder.absolute() == self._step_folder.absolute() else None
        self._lower_learning_rate()

    def _lower_learning_rate(self) -> None:
        """Train with what is left of the learning rate since the run went back; a checkpoint brings that of its own time."""
        past = roll_back.rollbacks(checkpoints_folder(self.config))
        self._guardrails.num_rollbacks = len(past)
        if past:
            self._guardrails.learning_rate_factor = past[-1].learning_rate_factor
        if self._guardrails.learning_rate_factor != 1.0:
            for group in [self.actor_rollout_wg, *([self.critic_wg] if self.use_critic else [])]:
                group.use_learning_rate_factor(self._guardrails.learning_rate_factor)


def numbers_of(metrics: dict[str, Any]) -> dict[str, float]:
    """What of the metrics is a number."""
    return {name: float(value) for name, value in metrics.items() if isinstance(value, int | float | np.number)}
