"""What every test run has."""

pytest_plugins = ("tests.conformance.plugin", "tests.e2e.transcripts", "tests.parallel")
