"""What the panes say: from slices of the snapshot to columns, rows and lines. Pure functions."""
