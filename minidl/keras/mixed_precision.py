"""Mixed precision under Keras's names: weights in float32, computations in float16.

    keras.mixed_precision.set_global_policy("mixed_float16")
    model = keras.Sequential(
        [
            layers.Dense(64, activation="relu"),
            layers.Dense(10),
            layers.Activation("softmax", dtype="float32"),  # probabilities with all their digits
        ]
    )
    model.compile("adam", "sparse_categorical_crossentropy")

`compile` of a model with this policy puts the optimiser into a `LossScaleOptimizer`, which keeps
small gradients from becoming 0 in float16; with auto_scale_loss=False it does not.  Losses and
metrics compute in float32, and the loss of a model that ends in softmax from its logits: the
float32 softmax above is only needed for what `predict` gives.
"""

from minidl.keras.dtype_policies import DTypePolicy, dtype_policy, set_dtype_policy
from minidl.keras.loss_scale_optimizer import LossScaleOptimizer

# fmt: off
__all__ = [
    "DTypePolicy", "LossScaleOptimizer", "Policy", "dtype_policy", "global_policy",
    "set_dtype_policy", "set_global_policy",
]
# fmt: on

Policy = DTypePolicy
global_policy, set_global_policy = dtype_policy, set_dtype_policy
