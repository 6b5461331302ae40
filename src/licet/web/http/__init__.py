"""HTTP connections of both listeners: bounded in number, while a request arrives and while it is answered."""
