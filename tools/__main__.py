"""Entry point of the console tools: `callstash VERB`."""

from tools.cli import cli

cli(prog_name="callstash")
