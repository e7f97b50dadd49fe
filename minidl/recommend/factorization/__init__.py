"""Factorisation: users and items as vectors, whose products are the scores."""
