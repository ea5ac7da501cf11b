"""Rows as frozen dataclasses."""

from common.queries.rows import rows as rows
