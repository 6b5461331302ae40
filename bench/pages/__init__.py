"""Makes what the documentation says of the results that are kept, and their charts."""
