"""Linear algebra: products, decompositions, equations and norms."""
