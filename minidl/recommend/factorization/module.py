"""Matrix factorisation on the autograd engine."""

from minidl import nn, ops
from minidl.autograd.tensor import Tensor
from minidl.checks import check_integers, check_numbers


class MatrixFactorizationModule(nn.Module):
    """r̂ = μ + b_u + b_i + p_u·q_i of codes of users and items: (B,), for any device and optimiser.

    users, items       how many there are
    factors            of a user, and of an item; normal at the start, N(0, start_deviation²)
    mean               μ, which is not learned
    regularization     λ in `loss`

    The gradients of its embeddings are sparse: a step of optim.SGD or of optim.Adam with lazy=True
    takes as long for many users as for few.  A step of SGD on the loss of a single rating is the
    update of `MatrixFactorization`.

    >>> from minidl.recommend.factorization import MatrixFactorizationModule
    >>> model = MatrixFactorizationModule(users=10, items=20, factors=4, mean=3.5)
    >>> model(minidl.tensor([0, 1, 1]), minidl.tensor([19, 0, 7])).shape
    (3,)
    """

    def __init__(
        self,
        users: int,
        items: int,
        factors: int = 100,
        mean: float = 0.0,
        regularization: float = 0.08,
        start_deviation: float = 0.1,
    ) -> None:
        check_integers(self, 1, users=users, items=items, factors=factors)
        check_numbers(self, finite=True, mean=mean)
        check_numbers(self, 0, finite=True, regularization=regularization)
        self.mean, self.regularization = mean, regularization
        self.user_factors = nn.Embedding(users, factors, sparse=True)
        self.item_factors = nn.Embedding(items, factors, sparse=True)
        for table in (self.user_factors, self.item_factors):
            nn.init.normal_(table.weight, 0, start_deviation)
        self.user_biases = nn.Embedding(users, 1, sparse=True)
        self.item_biases = nn.Embedding(items, 1, sparse=True)
        for table in (self.user_biases, self.item_biases):
            nn.init.zeros_(table.weight)

    def forward(self, users: Tensor, items: Tensor) -> Tensor:
        """r̂ of pairs."""
        biases = self.user_biases(users) + self.item_biases(items)
        products = self.user_factors(users) * self.item_factors(items)
        return self.mean + (biases[..., 0] + products.sum(axis=-1))

    def loss(self, users: Tensor, items: Tensor, ratings: Tensor) -> Tensor:
        """The mean of ½·((r − r̂)² + λ·(b_u² + b_i² + |p_u|² + |q_i|²)) over some ratings."""
        squares = ops.square(ratings - self(users, items))
        for table, codes in (
            (self.user_factors, users), (self.item_factors, items),
            (self.user_biases, users), (self.item_biases, items),
        ):  # fmt: skip
            squares = squares + self.regularization * ops.square(table(codes)).sum(axis=-1)
        return 0.5 * squares.mean()
