"""The verbs of a vendor: keys, licences for customers, and what is in a licence."""
