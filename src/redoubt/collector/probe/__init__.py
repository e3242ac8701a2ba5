"""The probe that runs in the kernel: its source, and the object that `make probe` builds of it."""
