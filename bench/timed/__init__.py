"""Times what servers answer, and what they take, under the load of wrk and beside peers."""
