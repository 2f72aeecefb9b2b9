"""The lab: pinned tools, a stand-in command provider and real Debian hosts, for tests and the demo."""
