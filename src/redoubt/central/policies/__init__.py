"""Policies at Central: kept, compiled for whoever asks, and asked of images."""
