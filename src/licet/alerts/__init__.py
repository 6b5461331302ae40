"""What is reported by itself: alerts evaluated off the request path, webhooks and mail that carry them."""
