"""Protocol definitions of our services, and the stubs that ``make protos`` writes beside them."""
