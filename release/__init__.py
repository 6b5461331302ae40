"""Builds a release: `make release` leaves the sdist, the wheel, the SBOM and their checksums in dist/."""
