"""What the tests of several folders share: stores, servers, clients, and faults."""
