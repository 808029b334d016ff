"""What every test run has."""

from hypothesis import settings

pytest_plugins = ("tests.parallel", "tests.conformance.plugin", "tests.e2e.transcripts")

# A busy machine is no fault of what is tested.
settings.register_profile("any machine", deadline=None)
settings.load_profile("any machine")
