"""The faults: what the nemesis breaks, in nodes, in their stores, and in the network between them."""
