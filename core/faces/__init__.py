"""Faces: finding them, cropping them to the backbone's template, and deciding whose they are."""
