"""A training step in pure functions, which the trainer calls in this order:

``rollout`` what came back, in the order of the data; ``report`` what it was like; ``sample_filter`` what is kept of it;
``loss_share`` and ``mini_batches`` how the update is made of that; ``report`` again, which stops a run whose update is not finite.
"""
