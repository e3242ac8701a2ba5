"""What happens in containers, as Collectors and the API server tell it: whose it is, and what policies say of it."""
