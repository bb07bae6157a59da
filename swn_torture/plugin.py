"""The pytest plugin: the public face of the suite."""
