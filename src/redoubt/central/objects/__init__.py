"""What there is in clusters, as it is asked for: found by the original's search text, and only where the caller may look."""
