"""``edge-controller``: the command line's entry point. Commands are imported on use, so that --help is fast."""

from __future__ import annotations

import sys
from typing import Any

import click
from typing_extensions import override

from controller import __version__, errors, lean_imports

# Command -> (module, attribute, one line of help shown before the module is imported).
COMMANDS = {
    "run": ("controller.cli.run", "run", "Run the controller in the foreground."),
    "check": ("controller.cli.check", "check", "Check this host and report what needs fixing."),
    "kubeconfig": ("controller.cli.api", "kubeconfig", "Print a kubeconfig for the embedded API."),
    "crds": ("controller.cli.api", "crds", "Print or write the CustomResourceDefinitions."),
    "backup": ("controller.cli.backup", "backup", "Back up the embedded API."),
    "restore": ("controller.cli.backup", "restore", "Restore a backup of the embedded API."),
    "explain-network": (
        "controller.cli.explain",
        "explain_network",
        "Diagnose the network of a runtime, step by step.",
    ),
    "logs": ("controller.cli.containers", "logs", "Print the output of a runtime."),
    "purge": ("controller.cli.containers", "purge", "Remove every container and network of this installation."),
    "reset": ("controller.cli.api", "reset", "Reactivate a retired agent."),
    "cluster": ("controller.cli.cluster", "cluster", "Manage an installation in a cluster: status, release, purge."),
    "cloud": ("controller.cli.cloud", "cloud", "Run a local cloud: serve, enroll, send, agents."),
    "version": ("controller.cli.main", "version", "Print the version."),
}


class LazyGroup(click.Group):
    """A group that imports its commands on demand."""

    @override
    def list_commands(self, ctx: click.Context) -> list[str]:
        """The commands in the order of the table."""
        return list(COMMANDS)

    @override
    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the command."""
        if cmd_name not in COMMANDS:
            return None
        module, attribute, _ = COMMANDS[cmd_name]
        command: click.Command = getattr(lean_imports.import_command(module), attribute)
        return command

    @override
    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, entry[2]) for name, entry in COMMANDS.items()])


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
def cli() -> None:
    """Run containers with their own address on the factory LAN, on this host.

    \b
    Examples:
      edge-controller check
      edge-controller run --cloud-url https://api.getedge.me
      kubectl --kubeconfig /var/lib/edge-controller/kubeconfig get runtimes
      edge-controller cloud serve
    """


@click.command()
def version() -> None:
    """Print the version."""
    click.echo(__version__)


def main(arguments: list[str] | None = None) -> Any:
    """Run a command; print an EdgeError as one sentence on standard error and exit with status 1."""
    try:
        # In standalone mode click reports its own errors and a closed pipe; an EdgeError passes through.
        return cli.main(args=arguments, prog_name="edge-controller", standalone_mode=True)
    except errors.EdgeError as error:
        click.echo(f"edge-controller: {error}", err=True)
        sys.exit(1)
