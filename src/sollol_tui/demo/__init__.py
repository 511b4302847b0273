"""A cluster to try: servers that speak the real protocols on loopback."""
