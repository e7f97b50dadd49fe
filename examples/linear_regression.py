"""Linear regression by gradient descent, every step written out.

Two of the founding documents give the model and the rule (001, section 3.4; 002, section 1.3):

    y = β₀ + β₁x₁ + β₂x₂ + … + βₙxₙ            θ ← θ − α ∇J(θ)

Here J is the mean squared error.  Its gradient is worked out once by hand and once by minidl, the
two are compared at every step, and the β that comes out is compared with the one that made the
data, and with the best there is, from the normal equations.

Run:  python examples/linear_regression.py
"""

import numpy as np

import minidl

# Data: 200 points from a known β, with a little noise.
rng = np.random.default_rng(0)
true_beta = np.array([1.5, 2.0, -3.0, 0.5])
features = rng.normal(size=(200, 3))
X = np.column_stack([np.ones(200), features])  # the 1 in front makes β₀ a factor like the others
y = X @ true_beta + 0.1 * rng.normal(size=200)


def mean_squared_error(theta: minidl.Tensor) -> minidl.Tensor:
    """J(θ) = Σ (Xθ − y)² / n."""
    residual = X @ theta - y
    return (residual * residual).mean()


def gradient_by_hand(theta: np.ndarray) -> np.ndarray:
    """∇J(θ) = 2 Xᵀ(Xθ − y) / n: the chain rule, from the square back to θ."""
    return 2 * X.T @ (X @ theta - y) / len(y)


def main() -> None:
    """Go downhill for 60 steps."""
    alpha = 0.1
    theta = minidl.zeros(4, dtype="float64", requires_grad=True)

    for step in range(61):
        # Forward: the loss of the present θ.
        loss = mean_squared_error(theta)

        # Backward: the slope of the loss in every direction of θ.
        theta.grad = None
        loss.backward()
        np.testing.assert_allclose(theta.grad, gradient_by_hand(theta.numpy()), rtol=1e-12)

        if step % 10 == 0:
            beta = "  ".join(f"{b:7.4f}" for b in theta.tolist())
            print(f"step {step:2d}   J = {loss.item():9.6f}   θ = {beta}")

        # θ ← θ − α ∇J(θ).  The step itself is not part of what is differentiated.
        with minidl.no_grad():
            theta -= alpha * theta.grad

    best, *_ = np.linalg.lstsq(X, y, rcond=None)
    print("made with  β =", "  ".join(f"{b:7.4f}" for b in true_beta))
    print("best fit   β =", "  ".join(f"{b:7.4f}" for b in best))
    np.testing.assert_allclose(theta.numpy(), best, atol=1e-3)


if __name__ == "__main__":
    main()
