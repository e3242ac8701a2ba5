"""Risk: how much a deployment or an image deserves to be looked at first, and why."""
