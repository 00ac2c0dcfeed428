"""One test or more for each line of docs/security.md."""
