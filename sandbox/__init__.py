"""Local stand-ins for the services of the pipeline, so that nothing but Python is needed to run it."""
