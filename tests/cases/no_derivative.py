"""The operations that have no derivative, and so no row in the tables."""

NO_DERIVATIVE = (
    *("trunc", "signbit", "nextafter", "imag", "argwhere", "count_nonzero", "searchsorted"),
    *("floor_divide", "sign", "floor", "ceil", "round"),
    *("equal", "not_equal", "isclose", "less", "less_equal", "greater", "greater_equal"),
    *("logical_and", "logical_or", "logical_xor", "logical_not", "isfinite", "isinf", "isnan"),
    *("all", "any", "argmax", "argmin", "argsort", "check_indices", "uniform_like"),
)
