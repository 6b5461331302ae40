"""What the tests of several rooms share: sites, servers, clients, and what breaks them."""
