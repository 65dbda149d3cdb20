"""The tests. A package, so that helpers beside conftest.py can be imported by name."""
