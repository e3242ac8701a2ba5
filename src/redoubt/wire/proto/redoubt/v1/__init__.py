"""Version 1 of the messages: fields are added, never renumbered."""
