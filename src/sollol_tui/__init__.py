"""One terminal to see, drive and talk to a self-hosted LLM cluster."""
