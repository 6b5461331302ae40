"""Reads licences that a vendor has signed, and computes how many seats they give at each moment.

    vendor = read_vendor(Path("vendor.json").read_bytes())
    licences = [read(text, [vendor]) for text in split(Path("c1.licence").read_bytes())]
    seats = signed_seats(licences, "full")
    seats.at(now_ms).signed

Licet and the guard both read with it. The rules:

- It is pure: no file, no clock, no network. It imports the standard library, and `cryptography` when the
  first key is loaded; nothing else of Licet, so that the guard stays apart.
- A licence is read strictly (`jws.py`, `strict_json.py`, `claims.py`), and after its signature was verified.
- What is wrong is a `LicenceRefused` with a code, and a text that says what to do next (`errors.py`).
"""
