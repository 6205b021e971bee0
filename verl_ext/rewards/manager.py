"""A reward manager of verl that tells the reward function which responses were cut by their length limit.

    reward.reward_manager.source=importlib
    reward.reward_manager.module.path=pkg://verl_ext.rewards.manager
    reward.reward_manager.name=TruncationRewardManager

verl 0.9.1 drops vLLM's finish reason on the way (its rollout server calls both "stop" and "length" "completed"), so it
is inferred from the tokens: a response was cut if it fills its budget and does not end in a special token. Both count,
because a model may have stop tokens that its tokenizer does not call special, and a whole answer must not count as cut.
"""

from typing import Any

import numpy as np
from verl import DataProto
from verl.experimental.reward_loop.reward_manager.naive import NaiveRewardManager


class TruncationRewardManager(NaiveRewardManager):
    """verl's naive manager, plus ``extra_info["is_truncated"]``."""

    async def run_single(self, data: DataProto) -> dict[str, Any]:
        data = data[-1:]  # as the naive manager: only the last sequence of a trajectory is graded
        extra_info = data.non_tensor_batch.get("extra_info", [{}])[0] or {}
        data.non_tensor_batch["extra_info"] = np.array([extra_info | {"is_truncated": self._is_truncated(data)}])
        result: dict[str, Any] = await super().run_single(data)
        return result

    def _is_truncated(self, data: DataProto) -> bool:
        responses_T = data.batch["responses"][0]
        mask_PT = data.batch["attention_mask"][0]  # prompt and response, 0 on padding
        num_padded = responses_T.shape[-1]
        response_length, prompt_length = int(mask_PT[-num_padded:].sum()), int(mask_PT[:-num_padded].sum())
        rollout = self.config.actor_rollout_ref.rollout
        budget = rollout.response_length
        if rollout.get("max_model_len") is not None:
            budget = min(budget, rollout.max_model_len - prompt_length)
        return response_length >= budget and int(responses_T[response_length - 1]) not in self._special_ids()

    def _special_ids(self) -> set[int]:
        tokenizer: Any = self.tokenizer
        added = {token_id for token_id, token in tokenizer.added_tokens_decoder.items() if token.special}
        return added | set(tokenizer.all_special_ids)
