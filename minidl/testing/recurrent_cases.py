"""Cases of recurrent networks."""

from minidl.testing.case_builder import CaseBuilder, Recipe


def recurrent(gates: int, *, cell: bool = False) -> Recipe:
    """x (T, N, I), or (N, I) of a cell; states (N, H), weights, biases, a projection, a mask."""

    def recipe(d: CaseBuilder) -> None:
        if gates == 1:
            d.setting("nonlinearity", ("tanh",))  # relu has kinks
        if not cell:
            d.setting("reverse", (False, True))
        t, n, inputs, hidden = d.shape(4, 3)
        projected = gates == 4 and "weight_hr" not in d.fixed and bool(d.integer(0, 1))
        output = d.integer(1, 2) if projected else hidden
        d.array("x", (n, inputs) if cell else (t, n, inputs))
        d.array("h", (n, output))
        if gates == 4:
            d.array("c", (n, hidden))
        d.array("weight_ih", (gates * hidden, inputs))
        d.array("weight_hh", (gates * hidden, output))
        d.array("bias_ih", (gates * hidden,), optional=True)
        d.array("bias_hh", (gates * hidden,), optional=True)
        if projected:
            d.array("weight_hr", (output, hidden))
        elif gates == 4:
            d.argument("weight_hr", None)
        if not cell:
            masked = "mask" not in d.fixed and bool(d.integer(0, 1))
            d.argument("mask", d.elements((t, n), (False, True), dtype=bool) if masked else None)

    return recipe


_GATES = {"rnn": 1, "lstm": 4, "gru": 3}
RECIPES: dict[str, Recipe] = {
    **{name: recurrent(gates) for name, gates in _GATES.items()},
    **{f"{name}_cell": recurrent(gates, cell=True) for name, gates in _GATES.items()},
}
