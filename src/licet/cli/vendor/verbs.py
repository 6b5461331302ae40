"""Puts the verbs of `licet vendor` together: each has a file of its own."""

from licet.cli.noun import Noun
from licet.cli.vendor.keys import key_app
from licet.cli.vendor.listing import list_
from licet.cli.vendor.reading import read
from licet.cli.vendor.signing import sign

app = Noun("For vendors: make keys, and sign licences for customers. It needs no store and no server.")
app.add_typer(key_app, name="key")
app.verb("sign")(sign)
app.verb("read")(read)
app.verb("list")(list_)
