"""The load: clients that ask for seats all the time, and note what they are answered."""
