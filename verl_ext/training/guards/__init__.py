"""What is watched while a run trains, and what is done about it: ``trainer.guardrails``, docs/guardrails.md.

``guard_table`` has the guards, ``guardrails`` asks them and does what their options say, ``roll_back`` finds the checkpoint that a run
goes back to. Free of torch and verl.
"""
