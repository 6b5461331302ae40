"""The attacks: root tries for a minute each to get more people to work than seats are signed.

- `forged`: a server that says whatever root wants.
- `clones`, in `servers`: a copy of Licet with all it has runs beside it.
- `primaries`, there: a standby of PostgreSQL was promoted, and the old primary lives on; each has a server.
- `rows`, there: somebody edits the rows of the store all the time.
"""
