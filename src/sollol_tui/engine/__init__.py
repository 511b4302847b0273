"""All that goes on over time, without a screen."""
