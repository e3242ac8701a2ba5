"""Names of the wire: what lies here is in protobuf's package ``redoubt``."""
