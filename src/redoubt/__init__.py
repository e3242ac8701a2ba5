"""Redoubt: Kubernetes security that works with the network cable unplugged."""

__version__ = "0.1.0"
