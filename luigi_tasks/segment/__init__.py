"""The way to Segment: endpoint, transports, credentials, and the checks before a run."""
