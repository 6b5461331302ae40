"""The attacks: attempts by root to get more people to work than seats are signed."""
