"""Queries that more than one process needs."""
