"""Linear regression by gradient descent, every step written out.

The founding documents, the notes that this project began from, state the model and the update rule
(001, section 3.4; 002, section 1.3):

    y = β₀ + β₁x₁ + β₂x₂ + … + βₙxₙ            θ ← θ − α ∇J(θ)

Here J is the mean squared error.  Its gradient is derived by hand and computed by minidl, and the
two are compared at every step.  The β found is compared with the one that generated the data, and
with the least-squares solution.

Run:  python examples/linear_regression.py
"""

import numpy as np

import minidl

# The data: 200 points generated from a known β, with a little noise.
rng = np.random.default_rng(0)
true_beta = np.array([1.5, 2.0, -3.0, 0.5])
features = rng.normal(size=(200, 3))
X = np.column_stack([np.ones(200), features])  # the column of ones multiplies β₀
y = X @ true_beta + 0.1 * rng.normal(size=200)


def mean_squared_error(theta: minidl.Tensor) -> minidl.Tensor:
    """J(θ) = Σ (Xθ − y)² / n."""
    residual = X @ theta - y
    return (residual * residual).mean()


def gradient_by_hand(theta: np.ndarray) -> np.ndarray:
    """∇J(θ) = 2 Xᵀ(Xθ − y) / n: the chain rule, from the square back to θ."""
    return 2 * X.T @ (X @ theta - y) / len(y)


def main() -> None:
    """Take 60 steps of gradient descent."""
    alpha = 0.1
    theta = minidl.zeros(4, dtype="float64", requires_grad=True)

    for step in range(61):
        # Forward: the loss of the current θ.
        loss = mean_squared_error(theta)

        # Backward: the gradient of the loss with respect to θ.
        theta.grad = None
        loss.backward()
        np.testing.assert_allclose(theta.grad, gradient_by_hand(theta.numpy()), rtol=1e-12)

        if step % 10 == 0:
            beta = "  ".join(f"{b:7.4f}" for b in theta.tolist())
            print(f"step {step:2d}   J = {loss.item():9.6f}   θ = {beta}")

        # θ ← θ − α ∇J(θ).  The update itself is not differentiated.
        with minidl.no_grad():
            theta -= alpha * theta.grad

    best, *_ = np.linalg.lstsq(X, y, rcond=None)
    print("true       β =", "  ".join(f"{b:7.4f}" for b in true_beta))
    print("best fit   β =", "  ".join(f"{b:7.4f}" for b in best))
    np.testing.assert_allclose(theta.numpy(), best, atol=1e-3)


if __name__ == "__main__":
    main()
