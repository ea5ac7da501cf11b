"""Upgrades of CallStash itself: what callstash-upgrade.service runs, as root.

It must work while the package it belongs to is being replaced: it runs from a copy of its own, and
imports only Python's standard library and the parts of `common` that do.
"""
