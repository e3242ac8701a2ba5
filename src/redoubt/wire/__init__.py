"""What services say to each other and how they know each other: mutual TLS, gRPC, and one port for both kinds of caller."""
