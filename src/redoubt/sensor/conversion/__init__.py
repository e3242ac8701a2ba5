"""Kubernetes' objects as Central and policies look at them. Pure: decoded JSON in, structs of ``redoubt.model`` out."""
