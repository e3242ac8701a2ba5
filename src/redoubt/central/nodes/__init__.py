"""Nodes: what is installed on their hosts, matched with the definitions that are active."""
