"""What Central's database looks like, as numbered SQL files that ``redoubt.postgres.migrations`` applies."""
