"""Alerts: what Sensors tell of policies that do not hold, merged and kept until it is over."""
