"""Windows that slide over pictures: what each of their places sees."""


def padded(xp, x, before, after=None):
    """x with zeros around its last two axes: `before` (top, left), `after` (bottom, right).

    (…, H, W) → (…, top + H + bottom, left + W + right).  Without `after`, as many as before.
    """
    (top, left), (bottom, right) = before, after or before
    if not (top or left or bottom or right):
        return x
    height, width = x.shape[-2:]
    inside = (..., slice(top, top + height), slice(left, left + width))
    shape = (*x.shape[:-2], top + height + bottom, left + width + right)
    return xp.scatter_at(x, inside, shape)


def taps(window, stride, dilation, output):
    """For each place (a, b) of the window, row by row, the index of what it sees.

    x[index] of a padded x (…, H, W) is (…, *output): element (i, j) is what place (a, b) sees when
    the window is at (i, j).  `scatter_at` with the same index carries gradients back.
    """
    rows, columns = (
        [slice(a, a + s * (n - 1) + 1, s) for a in range(0, d * k, d)]
        for k, s, d, n in zip(window, stride, dilation, output, strict=True)
    )
    return [(..., row, column) for row in rows for column in columns]
