"""Local stand-ins for the services of the pipeline: nothing but Python is needed to run it."""
