"""Network policies of clusters: what they let through, what others would, and how they get there."""
