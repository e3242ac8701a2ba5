"""Integrations: which registries may be contacted, and how; secrets are sealed."""
