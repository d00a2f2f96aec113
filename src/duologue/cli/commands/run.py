"""``duologue run``: a suite, a folder of suites, or a function. Only the options are defined here."""

from math import inf
from pathlib import Path
from typing import Annotated, Any

import typer

from duologue.cli.executor_options import (
    HOW,
    AddressOption,
    ExecutorOption,
    TlsCaOption,
    TlsCertOption,
    TlsKeyOption,
    WorkersOption,
)
from duologue.cli.output import response_file
from duologue.config.durations import parse_duration
from duologue.errors import ConfigurationError

_CASES = "Which test cases"
_RESULTS = "What to keep and show"


def _many(help: str, *names: str, panel: str = _CASES) -> Any:
    return typer.Option(*names, help=help, rich_help_panel=panel)


def _seconds(written: str | float) -> float:
    """The seconds of an option, written as in a suite: ``3``, ``3s``, ``1m30s``."""
    try:
        seconds = float(written)
    except ValueError:
        try:
            return parse_duration(str(written).strip())
        except ValueError as error:
            raise typer.BadParameter(f"{written!r}; expected seconds or {error}") from None
    if not 0 < seconds < inf:
        raise typer.BadParameter(f"{written!r}; expected seconds above 0, or a duration such as 90s or 5m")
    return seconds


_OF_FUNCTIONS = {
    "target",
    "out",
    "as_json",
    "quiet",
    "seed",
    "max_turns",
    "ci",
    "format",
    "resume",
    "failed_in",
    "verbose",
    "log_level",
}
"""Options that also apply to a function; all others are about suites."""


def run(
    context: typer.Context,
    target: Annotated[
        str, typer.Argument(help="A suite file, a folder of suites, or FILE.py::function", metavar="TARGET")
    ],
    scenario: Annotated[list[str], _many("Only these scenarios.", "--scenario")] = [],  # noqa: B006 - typer's way
    agent: Annotated[list[str], _many("Only these agents.", "--agent", "--provider")] = [],  # noqa: B006
    persona: Annotated[list[str], _many("Only these personas.", "--persona")] = [],  # noqa: B006
    region: Annotated[list[str], _many("Only these regions.", "--region")] = [],  # noqa: B006
    replay: Annotated[list[str], _many("Only these replays.", "--replay", "--eval")] = [],  # noqa: B006
    tag: Annotated[list[str], _many("Only scenarios with any of these tags.", "--tag")] = [],  # noqa: B006
    label: Annotated[list[str], _many("Only scenarios with any of these labels, as key=value.", "--label")] = [],  # noqa: B006
    failed_in: Annotated[
        Path | None, _many("Only the cases that did not pass in the execution in this folder.", "--failed-in")
    ] = None,
    trials: Annotated[
        int | None, typer.Option(min=1, help="Repeat each case this many times.", rich_help_panel=_CASES)
    ] = None,
    until_decided: Annotated[
        bool,
        typer.Option(
            "--until-decided",
            help="End the trials of a case when they decide about it; --trials are as many as there may be.",
            rich_help_panel=_CASES,
        ),
    ] = False,
    pass_threshold: Annotated[
        str | None,
        typer.Option(
            help="Share of its trials that a case must pass with --until-decided, such as 0.8 or 80%. "
            "Default: the pass rate, or else all.",
            rich_help_panel=_CASES,
        ),
    ] = None,
    mock: Annotated[
        str | None,
        typer.Option(
            callback=response_file,
            help="Answer for every model from this response file. No keys needed.",
            rich_help_panel=HOW,
        ),
    ] = None,
    mock_all: Annotated[
        bool,
        typer.Option("--mock-all", help="Answer for every model with fixed text. No keys needed.", rich_help_panel=HOW),
    ] = False,
    jobs: Annotated[
        int | None, typer.Option("-j", "--jobs", min=1, help="Number of cases to run at once.", rich_help_panel=HOW)
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Seed for every random choice.", rich_help_panel=HOW)] = None,
    max_turns: Annotated[
        int | None, typer.Option(min=1, help="End a free conversation after this many turns.", rich_help_panel=HOW)
    ] = None,
    temperature: Annotated[
        float | None,
        typer.Option(min=0, help="Sampling temperature of native agents; overrides the suite.", rich_help_panel=HOW),
    ] = None,
    max_tokens: Annotated[
        int | None,
        typer.Option(
            min=1, help="Longest answer of native agents, in tokens; overrides the suite.", rich_help_panel=HOW
        ),
    ] = None,
    eval_type: Annotated[list[str], _many("Only run prompt-pack evals of these types.", "--eval-type", panel=HOW)] = [],  # noqa: B006
    pack_evals: Annotated[
        bool, typer.Option(help="Run the evals of prompt packs in addition to the checks.", rich_help_panel=HOW)
    ] = True,
    run_timeout: Annotated[
        float | None,
        typer.Option(
            parser=_seconds,
            metavar="DURATION",
            help="Time limit of one run: seconds, or a duration such as 90s or 5m.",
            rich_help_panel=HOW,
        ),
    ] = None,
    budget: Annotated[
        float | None,
        typer.Option(
            min=0, help="Spending limit for the models of all runs together, in US dollars.", rich_help_panel=HOW
        ),
    ] = None,
    preflight: Annotated[
        bool,
        typer.Option(
            "--preflight/--no-preflight",
            help="Look for models, keys, packages, functions and servers before the first case.",
            rich_help_panel=HOW,
        ),
    ] = True,
    fail_fast: Annotated[
        bool, typer.Option("--fail-fast", help="Start no further case after a failure.", rich_help_panel=HOW)
    ] = False,
    allow_undecided: Annotated[
        str | None, typer.Option(help="Tolerate this many undecided cases, or 'all'.", rich_help_panel=HOW)
    ] = None,
    allow_errors: Annotated[
        str | None, typer.Option(help="Tolerate this many cases with errors, or 'all'.", rich_help_panel=HOW)
    ] = None,
    pass_rate: Annotated[
        str | None,
        typer.Option(
            help="Tolerate failed cases if this share of all cases passed, such as 0.9 or 90%.", rich_help_panel=HOW
        ),
    ] = None,
    executor: ExecutorOption = "local",
    workers: WorkersOption = None,
    address: AddressOption = None,
    tls_ca: TlsCaOption = None,
    tls_cert: TlsCertOption = None,
    tls_key: TlsKeyOption = None,
    resume: Annotated[
        Path | None,
        typer.Option(
            help="Continue the execution in this folder. Finished cases are kept unless their definition changed.",
            rich_help_panel=HOW,
        ),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Folder for the results.", rich_help_panel=_RESULTS)] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace the results in that folder.", rich_help_panel=_RESULTS)
    ] = False,
    format: Annotated[
        list[str],
        _many(
            "Also write json, junit, md, csv, html or promptkit; separate several with commas.",
            "--format",
            panel=_RESULTS,
        ),
    ] = [],  # noqa: B006
    journals: Annotated[bool, typer.Option(help="Keep the journal of every run.", rich_help_panel=_RESULTS)] = True,
    ci: Annotated[bool, typer.Option("--ci", help="Plain lines without colours.", rich_help_panel=_RESULTS)] = False,
    tui: Annotated[bool, typer.Option("--tui", help="Show a live page of the runs.", rich_help_panel=_RESULTS)] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the results as JSON and nothing else.", rich_help_panel=_RESULTS)
    ] = False,
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="Print no transcript and no progress.", rich_help_panel=_RESULTS)
    ] = False,
    verbose: Annotated[
        int,
        typer.Option("--verbose", "-v", count=True, help="Show logs; -vv shows all of them.", rich_help_panel=_RESULTS),
    ] = 0,
    log_level: Annotated[
        str | None,
        typer.Option(help="Show logs from this level on: debug, info, warning, error.", rich_help_panel=_RESULTS),
    ] = None,
) -> int:
    """Run a suite, or the scenarios of a function, and report the results.

    A function takes no arguments and may be async. It calls duologue.run(…) as a test does, or returns one
    duologue.prepare(…) or a list of them.

    Exit codes: 0 all passed, 1 a case failed, 2 invalid usage, 3 more errors or undecided cases than allowed, 130
    interrupted.
    """
    if verbose or log_level:
        from duologue.cli.logs import chosen_level, show_logs

        show_logs(chosen_level(verbose, log_level))
    from duologue.cli.output import listed_names

    if "::" in target or target.endswith(".py"):
        from duologue.cli.commands.function_run import DEFAULT_OUT, FunctionRequest, run_function

        _refuse_options_of_suites(context)
        return run_function(
            target,
            FunctionRequest(
                out=out or DEFAULT_OUT,
                as_json=as_json,
                quiet=quiet,
                seed=seed,
                max_turns=max_turns,
                formats=listed_names(format),
                resume=resume,
                failed_in=failed_in,
            ),
        )
    from duologue.cli.commands.suite_executor import ExecutorRequest
    from duologue.cli.commands.suite_run import Request, Shown, run_and_show
    from duologue.models.scope import Budget
    from duologue.suites.plan.build import Filters
    from duologue.suites.runner.definition import RunOptions

    return run_and_show(
        target,
        Request(
            filters=Filters(
                scenarios=scenario,
                agents=agent,
                personas=persona,
                regions=region,
                replays=replay,
                tags=tag,
                labels=label,
            ),
            settings=RunOptions(
                concurrency=jobs,
                run_timeout=run_timeout,
                max_turns=max_turns,
                budget=None if budget is None else Budget(money=budget),
                temperature=temperature,
                max_tokens=max_tokens,
                eval_types=() if not pack_evals else eval_type or None,
                fail_fast=fail_fast,
                allow_undecided=_allowed(allow_undecided, "--allow-undecided"),
                allow_errors=_allowed(allow_errors, "--allow-errors"),
                pass_rate=_share(pass_rate),
                pass_threshold=threshold_of(pass_threshold),
            ),
            mock="" if mock_all and mock is None else mock,
            trials=trials,
            until_decided=until_decided,
            seed=seed,
            out=out,
            overwrite=overwrite,
            resume=resume,
            failed_in=failed_in,
            formats=listed_names(format),
            record=journals,
            preflight=preflight,
            executor=ExecutorRequest(
                name=executor, workers=workers, address=address, tls_ca=tls_ca, tls_cert=tls_cert, tls_key=tls_key
            ),
        ),
        Shown(ci=ci, tui=tui, as_json=as_json, quiet=quiet),
    )


def _allowed(text: str | None, option: str) -> int | str | None:
    if text is None or text == "all":
        return text
    if text.isdigit():
        return int(text)
    raise ConfigurationError(f"{option}: found '{text}'; expected a number, or 'all'")


def threshold_of(text: str | None) -> float | None:
    """The share that ``--pass-threshold`` asks for; None if it asks for none."""
    share = _share(text, "--pass-threshold")
    if share == 0:
        raise ConfigurationError(f"--pass-threshold: found '{text}'; expected a share above 0, such as 0.8 or 80%")
    return share


def _share(text: str | None, option: str = "--pass-rate") -> float | None:
    if text is None:
        return None
    try:
        share = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    except ValueError:
        share = -1.0
    if not 0 <= share <= 1:
        raise ConfigurationError(f"{option}: found '{text}'; expected a share such as 0.9 or 90%")
    return share


def _refuse_options_of_suites(context: typer.Context) -> None:
    for option in context.command.params:
        source = context.get_parameter_source(option.name or "")
        if source is not None and source.name == "COMMANDLINE" and option.name not in _OF_FUNCTIONS:
            raise ConfigurationError(f"{option.opts[-1]} applies to suites, and this is a function; remove it")
