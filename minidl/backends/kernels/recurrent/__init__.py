"""Recurrent networks: whole sequences of steps, forward and backward."""
