"""What happened: folded, summed, kept for a while, and found again."""
