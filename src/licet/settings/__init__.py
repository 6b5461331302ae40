"""What may be configured, where each setting comes from, and the reference page of them."""
