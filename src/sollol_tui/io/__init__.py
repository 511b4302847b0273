"""The world: bytes in, core values out. No policy, no retries."""
