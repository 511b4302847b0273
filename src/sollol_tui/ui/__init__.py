"""Pixels and keys."""
