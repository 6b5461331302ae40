"""HTTP connections of both listeners: bounded in number, in what they send, and in how long they take."""
