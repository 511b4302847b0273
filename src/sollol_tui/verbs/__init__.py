"""The verbs that need no screen, one file each."""
