"""Crosswalks, one file a format; each registers the paths it reads (see ``rules.py``)."""
