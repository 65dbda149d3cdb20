"""What a run would send, and what keeps it from sending by mistake."""
