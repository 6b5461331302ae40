"""What a vendor does to sell licences: keeps a signing key and a register of serials, and signs.

It needs no store and no server. Reading is the room `licences/`, with which all that is signed is read again
before it is written.
"""
