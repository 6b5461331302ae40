"""Recognises the shape of Licet's access tokens, so that other texts are refused without introspection.

    lca_...   a reference: 88 characters of base64url or more, and at most 1020
    eyJ...    a JWT: three parts of base64url, of which the last is a signature of ES256

It does not say whether a token is valid: anybody can invent a text with this shape.
"""

import re

_REFERENCE = r"lca_[A-Za-z0-9_-]{88,1020}"
_JWT = r"eyJ[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]{86}"  # 64 bytes (RFC 7518 3.4)

looks_like_ours = re.compile(f"{_REFERENCE}|{_JWT}").fullmatch
