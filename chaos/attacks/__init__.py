"""The attacks: the operator of a server, who is root, tries to let more people work than seats are signed.

- `forged.py`: the server answers whatever the attacker wants.
- `clones` in `servers.py`: a copy of Licet, with its keys and its store, runs beside it.
- `primaries` there: a standby of PostgreSQL was promoted while the old primary runs on; each has a server.
- `rows` there: the attacker edits the rows of the store all the time.
"""
