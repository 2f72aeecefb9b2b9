"""How many values Hypothesis makes: a few and always the same here, many and always others in the campaign."""

from hypothesis import settings

settings.register_profile("quick", max_examples=300, derandomize=True, deadline=None, database=None)
settings.register_profile("campaign", max_examples=10000, derandomize=False, deadline=None, database=None)
settings.load_profile("quick")
