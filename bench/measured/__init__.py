"""What is measured, and on what: stores that are filled, servers, the floor, the machine."""
