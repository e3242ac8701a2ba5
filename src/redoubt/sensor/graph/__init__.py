"""What is around a workload: services that lead to it, what its account may do, which network policies apply. Pure."""
