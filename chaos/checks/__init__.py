"""The checks: they compare a history with the licence rules, and know neither nodes nor stores."""
