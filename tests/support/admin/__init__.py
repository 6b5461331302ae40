"""The admin listener in tests: its API and its pages, with a browser and without."""
