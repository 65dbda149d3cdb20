"""The way of a message from the outbox to Segment and into the ledger."""
