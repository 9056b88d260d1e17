"""What users import in their tests, and the conformance suite that every engine passes (`tidewheel.testing.conformance`)."""
