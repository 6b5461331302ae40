"""The set-up that administrators change: one transaction per change, its checks, the sessions it ends."""
