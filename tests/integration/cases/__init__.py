"""Odd rows of an export, and what is made of each: one module per subject, with its `CASES`.

All cases of all modules are built together, once (tests/integration/test_cases.py), so a further
case costs no build of its own.
"""
