"""Each noun of the set-up describes its pages here: its fields, its list and its texts."""
