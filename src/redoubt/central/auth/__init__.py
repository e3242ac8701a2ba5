"""Who calls Central, and what they may do: passwords, tokens, certificates, roles, declarations, the audit log."""
