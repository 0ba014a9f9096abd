"""The steps of the Release state machine: the environment follows its newest approved model package."""
