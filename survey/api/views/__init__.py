"""One view an operation: find the study, check the shape, call the service, show the outcome."""
