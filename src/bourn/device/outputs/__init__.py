"""Sinks that do something in the world: a pin, a strip of lights. One file each."""
