"""Tests against real servers; `lab.py` installs them, `servers.py` runs them."""
