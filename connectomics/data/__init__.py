"""Volumes, targets, augmentation and the patches a network learns from."""
