"""The fields of a line that this package gives a meaning: another tool's field of such a name is not taken for it."""

ANSWER_FIELDS = ("question_id", "generation_id", "label", "reason", "tier", "kind", "pred_answer", "gold_answer")
