"""The systems under measurement: filled stores, servers, the floor; and the machine they run on."""
