"""The console tools: `callstash COMMAND`.

They run as the owner of the database (root on an appliance), never as a daemon.
"""

import sys
from importlib import import_module

import click
import psycopg

from common import __version__, journal
from common.errors import CallStashError, ConfigError

# Where each command is. It is imported when it is used: one alone starts in a third of the time.
COMMANDS = {
    "activate": "tools.activate:activate",
    "add-pbx": "tools.pbxs:add_pbx",
    "certificate": "tools.certificate:certificate",
    "check-kit": "tools.kit:check_kit",
    "evidence": "tools.evidence:evidence",
    "export": "tools.export:export",
    "export-keys": "tools.export_keys:export_keys",
    "init": "tools.init:init",
    "migrate": "tools.init:migrate",
    "passwd": "tools.accounts:passwd",
    "poll-now": "tools.pbxs:poll_now",
    "resetpwd": "tools.accounts:resetpwd",
    "restore": "tools.restore:restore_backup",
    "rewrap": "tools.rotate:rewrap",
    "rotate-key": "tools.rotate:rotate_key",
    "rotate-master": "tools.rotate:rotate_master",
    "set-cert": "tools.certificate:set_cert",
    "setup": "tools.setup:command",
    "status": "tools.status:status",
    "support": "tools.support:remote_support",
    "support-bundle": "tools.support_bundle:support_bundle",
    "upgrade": "tools.upgrade:upgrade",
    "verify": "tools.verify:verify",
    "verify-evidence": "tools.verify_evidence:verify_evidence",
}


class _Group(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module, _, name = COMMANDS[cmd_name].partition(":")
        command: click.Command = getattr(import_module(module), name)
        return command

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except ConfigError as error:
            click.echo(f"callstash: {error}", err=True)
            sys.exit(78)
        except CallStashError as error:
            click.echo(f"callstash: {error}", err=True)
            sys.exit(1)
        except psycopg.OperationalError as error:
            text = " ".join(str(error).split())
            click.echo(f"callstash: PostgreSQL does not answer: {text}", err=True)
            sys.exit(1)


@click.group(cls=_Group)
@click.version_option(__version__)
def cli() -> None:
    """Set up and look after CallStash from the console.

    \b
    How is it?             callstash status
    Log in anew            callstash resetpwd sysadmin
    Ask a PBX now          callstash poll-now 10
    Ask the vendor         callstash support-bundle bundle.tar.gz
    About one command      callstash status --help

    Exit status: 0 done, 1 not done, for the reason that is said, 2 used wrongly, 78 the
    configuration or a key has to be put right first. A command that has others says so in its
    --help.
    """
    journal.setup()
