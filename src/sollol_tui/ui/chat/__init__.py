"""The chat: what it says, how it is asked, and the panel that shows it."""
