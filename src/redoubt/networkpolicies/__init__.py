"""Kubernetes' network policies: what they let through, and what one would have to say to let through what is usual. Pure."""
