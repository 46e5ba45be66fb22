"""Parts of ci/corpus."""
