"""HTTP connections of both listeners: bounded while a request arrives, while it is answered, and in number."""
