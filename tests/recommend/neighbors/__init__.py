"""Tests of recommenders that go by neighbours, or by pairs of items."""
