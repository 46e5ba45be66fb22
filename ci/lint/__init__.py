"""The checks behind ci/tidy.py."""
