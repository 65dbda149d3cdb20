"""A local endpoint that behaves as Segment's HTTP Tracking API is documented to."""
