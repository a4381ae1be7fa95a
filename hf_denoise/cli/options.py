"""Typed command-line options from one dataclass, with YAML recipes as defaults."""

import argparse
import dataclasses
import difflib
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import tyro
import yaml

from hf_denoise.distributed.launch import say_mistake
from hf_denoise.errors import UserError

Options = TypeVar("Options")


Recorded = Callable[[Options], dict[str, Any]]


def recipe_arguments(path: Path, options: type[Any]) -> list[str]:
    """A YAML recipe as the command-line arguments it stands for, so that both are parsed and checked alike."""
    try:
        recipe = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise UserError(f"--config '{path}' cannot be read as YAML ({type(error).__name__})") from error
    if not isinstance(recipe, dict):
        raise UserError(f"--config '{path}' must hold lines of 'option: value'")
    for name, only in getattr(options, "REMOVED", {}).items():
        if recipe.pop(name, only) != only:
            raise UserError(f"--config '{path}' sets '{name}', which is no longer supported; remove that line")
    recipe = {aliases_of(options).get(str(name), name): value for name, value in recipe.items()}
    names = [field.name for field in dataclasses.fields(options)]
    for name in recipe:
        if name not in names:
            near = difflib.get_close_matches(str(name), names, n=1)
            hint = f"; did you mean '{near[0]}'?" if near else "; see --help for the options"
            raise UserError(f"--config '{path}' has an unknown option '{name}'{hint}")
    return as_arguments(recipe)


def aliases_of(options: type[Any]) -> Mapping[str, str]:
    """Other names of options, each with its own."""
    return getattr(options, "ALIASES", {})


def own_names(arguments: Sequence[str], aliases: Mapping[str, str]) -> list[str]:
    """A command line with the options' own names in place of others."""
    renamed = []
    for argument in arguments:
        flag, equals, value = argument.partition("=")
        own = aliases.get(flag.removeprefix("--").replace("-", "_")) if flag.startswith("--") else None
        renamed.append(f"--{own.replace('_', '-')}{equals}{value}" if own else argument)
    return renamed


def as_arguments(values: dict[str, Any]) -> list[str]:
    """Options by name as command-line arguments."""
    arguments = []
    for name, value in values.items():
        flag = "--" + name.replace("_", "-")
        if isinstance(value, bool):
            arguments.append(flag if value else flag.replace("--", "--no-", 1))
        else:
            arguments += [flag, *(str(v) for v in (value if isinstance(value, list) else [value]))]
    return arguments


def parse(options: type[Options], arguments: Sequence[str], recorded: Recorded[Options] | None = None) -> Options:
    """Options from the command line, over those of the recipe in `--config`, over the defaults of the dataclass.

    Args:
        options: the dataclass.
        arguments: the command line.
        recorded: gives for parsed options others that take the place of the defaults, such as those of an earlier run.
    """
    finder = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    finder.add_argument("--config", type=Path)
    found, rest = finder.parse_known_args(own_names(arguments, aliases_of(options)))
    recipe = recipe_arguments(found.config, options) if found.config else []
    parsed = tyro.cli(options, args=[*recipe, *rest])
    # An older run may have options that are gone.
    before = {name: value for name, value in (recorded(parsed) if recorded else {}).items() if hasattr(parsed, name)}
    return tyro.cli(options, args=[*as_arguments(before), *recipe, *rest]) if before else parsed


def hide(secrets: Sequence[str]) -> None:
    """Take secrets out of the words that this process was started with: trackers such as W&B record them."""
    for secret in secrets:
        sys.argv[:] = [word.replace(secret, "***") for word in sys.argv]


def run(
    options: type[Options],
    command: Callable[[Options], object],
    arguments: Sequence[str],
    recorded: Recorded[Options] | None = None,
) -> int:
    """Parse and run; a `UserError` becomes one line on stderr and exit status 2, an interruption status 130."""
    try:
        parsed = parse(options, arguments, recorded)
        hide([value for name in getattr(options, "SECRETS", ()) if (value := getattr(parsed, name))])
        command(parsed)
    except UserError as error:
        say_mistake(error)
        return 2
    except KeyboardInterrupt as interruption:
        print(interruption if interruption.args else "interrupted", file=sys.stderr)
        return 130
    return 0
