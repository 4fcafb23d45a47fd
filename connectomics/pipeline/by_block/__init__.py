"""Probabilities and labels, made block by block."""
