"""``p2p completion``: the script that lets a shell complete commands, options and the names of peers."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from p2p.cli.output import json_option, show_json

__all__ = ["completion"]

_INSTALL = {
    "bash": """\
# To have it in every bash (4.4 or newer), add this line to ~/.bashrc:
#   source <(p2p completion bash)
# or, where the package bash-completion is installed:
#   p2p completion bash > ~/.local/share/bash-completion/completions/p2p
""",
    "zsh": """\
# To have it in every zsh, put it where zsh looks for it:
#   mkdir -p ~/.zfunc && p2p completion zsh > ~/.zfunc/_p2p
# and add these lines to ~/.zshrc:
#   fpath+=(~/.zfunc)
#   autoload -Uz compinit && compinit
""",
    "fish": """\
# To have it in every fish:
#   p2p completion fish > ~/.config/fish/completions/p2p.fish
""",
}

_MORE = """\
# Names of peers are asked from the daemon that P2P_CONFIG or --config names; without one there are none.
"""


@click.command(short_help="Print the script that lets a shell complete p2p's words.")
@click.argument("shell", type=click.Choice(list(_INSTALL)))
@json_option
@click.pass_context
def completion(ctx: click.Context, shell: str, as_json: bool) -> None:
    """Print the script that makes SHELL complete p2p's commands, options, files and peers.

    Its first lines say how to install it.

    \b
      source <(p2p completion bash)
      p2p completion zsh > ~/.zfunc/_p2p
      p2p completion fish > ~/.config/fish/completions/p2p.fish
    """
    script = _script(ctx.find_root().command, shell)
    if as_json:
        show_json({"shell": shell, "script": script})
    else:
        click.echo(script, nl=False)


def _script(command: click.Command, shell: str) -> str:
    kind = get_completion_class(shell)
    assert kind is not None
    made = kind(command, {}, "p2p", "_P2P_COMPLETE").source()
    head = _INSTALL[shell] + _MORE
    first, newline, rest = made.partition("\n")
    # zsh knows a function's file by its first line.
    return f"{first}{newline}{head}{rest}" if first.startswith("#compdef") else head + made
