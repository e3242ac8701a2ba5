"""Definitions at Central: received, verified, put on the shelf, told to Matchers, and served to them."""
