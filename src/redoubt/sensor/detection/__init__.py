"""Policies asked of what is in the cluster and of what happens there, and what is done about it."""
