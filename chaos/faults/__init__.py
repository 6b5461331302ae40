"""The faults of nodes, of their stores, and of the network between them; the nemesis causes them."""
