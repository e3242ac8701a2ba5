"""What happens on a node: processes, connections and listening sockets of its containers, told by the kernel.

Knows nothing of Central, of Kubernetes or of policies: what it gives are events with container identifiers.
"""
