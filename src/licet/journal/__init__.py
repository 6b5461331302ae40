"""The journal records what happened; here it is folded by minute, summed, removed after a while, and read."""
