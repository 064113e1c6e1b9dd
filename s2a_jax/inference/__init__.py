"""Trained networks applied to images."""
