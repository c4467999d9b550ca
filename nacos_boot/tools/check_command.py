"""`nacos_boot check MODEL FILE…`: find faults in documents before they are published."""

import argparse
import os
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

import msgspec

from nacos_boot.start.bootstrap import Bootstrap, load_bootstrap
from nacos_boot.start.startup import StartError
from nacos_boot.tools.check import Finding, Level, check, in_order
from nacos_boot.tools.find_model import FoundModel, ModelError, find_model

_FAULTS, _CANNOT_CHECK = 1, 2
STDIN = "-"

MODEL_HELP = (
    "the program's settings: package.module:ClassName, or a package whose settings.py holds a line"
    " SETTINGS = ClassName"
)


def add_check(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("model", metavar="MODEL", help=MODEL_HELP)
    parser.add_argument(
        "files",
        metavar="FILE",
        nargs="+",
        help="a document under the name of its data id; - reads the program's own document from"
        " standard input. Without a bootstrap file the last one wins",
    )
    parser.add_argument(
        "--bootstrap",
        type=Path,
        metavar="FILE",
        help="the program's bootstrap.yml, which says what it reads and in which order; by default"
        " the one beside MODEL, where there is one",
    )
    parser.add_argument(
        "--profile", action="append", default=[], metavar="NAME", help="an active profile; repeat"
    )
    parser.add_argument(
        "--environment",
        action="store_true",
        help="check as the program would run in this shell, with its environment variables",
    )
    parser.add_argument("--strict", action="store_true", help="let warnings count as errors")
    parser.add_argument("--json", action="store_true", help="print one JSON object for a program")


def run_check(options: argparse.Namespace) -> int:
    """Check, and print what was found; gives 0 without errors, 1 with, 2 where it cannot check."""
    try:
        found = find_model(options.model)
        bootstrap = _bootstrap(found, options)
        files = _files(options.files, bootstrap)
        texts = {data_id: _text(file) for data_id, file in files.items()}
    except (ModelError, StartError, OSError, UnicodeDecodeError) as error:
        sys.stderr.write(f"cannot check: {error}\n")
        return _CANNOT_CHECK
    findings = check(found.model, bootstrap or in_order(list(texts)), texts)
    failing = {Level.ERROR, Level.WARNING} if options.strict else {Level.ERROR}
    failed = any(finding.level in failing for finding in findings)
    if options.json:
        sys.stdout.write(_as_json(findings, files, ok=not failed))
    else:
        sys.stdout.writelines(f"{_line(finding, files)}\n" for finding in findings)
        sys.stdout.write(f"{_summary(findings, len(files))}\n")
    return _FAULTS if failed else 0


def _bootstrap(found: FoundModel, options: argparse.Namespace) -> Bootstrap | None:
    path = options.bootstrap
    if path is None and found.folder is not None:
        beside = [found.folder / name for name in ("bootstrap.yml", "application.yml")]
        path = beside[0] if any(file.is_file() for file in beside) else None
    if path is None:
        return None
    arguments = [f"--spring.profiles.active={','.join(options.profile)}"] if options.profile else []
    return load_bootstrap(path, os.environ if options.environment else {}, arguments)


def _files(names: Iterable[str], bootstrap: Bootstrap | None) -> dict[str, str]:
    """Give the file of each data id. Raises ModelError where two files have one name."""
    files: dict[str, str] = {}
    for name in names:
        own = bootstrap.required[-1].data_id if bootstrap and bootstrap.required else "stdin.yml"
        data_id = own if name == STDIN else Path(name).name
        if data_id in files:
            raise ModelError(f"{files[data_id]} and {name} are the same data id, {data_id}")
        files[data_id] = name
    return files


def _text(file: str) -> str:
    if file == STDIN:
        return sys.stdin.buffer.read().decode("utf-8")
    return Path(file).read_text(encoding="utf-8")


def _where(finding: Finding, files: Mapping[str, str]) -> str:
    # A document of another group is named with its group.
    name = finding.source.rpartition("/")[2]
    file = files.get(name, finding.source)
    return "<stdin>" if file == STDIN else file


def _line(finding: Finding, files: Mapping[str, str]) -> str:
    where = _where(finding, files)
    if finding.line:
        where += f":{finding.line}"
    kind = "" if finding.level is Level.ERROR else f" {finding.level}:"
    setting = f" {finding.key}" if finding.key else ""
    value = f" = {finding.value}" if finding.value else ""
    what = f"{setting}{value}:" if setting or value else ""
    return f"{where}:{kind}{what} {finding.message}"


def _summary(findings: Iterable[Finding], checked: int) -> str:
    levels = [finding.level for finding in findings]
    counts = [
        f"{count} {level}{'s' if count > 1 else ''}"
        for level in Level
        if (count := levels.count(level))
    ]
    return f"{checked} checked: {', '.join(counts) or 'nothing to complain of'}"


def _as_json(findings: Iterable[Finding], files: Mapping[str, str], *, ok: bool) -> str:
    body = {
        "ok": ok,
        "findings": [
            {
                "level": finding.level,
                "file": _where(finding, files),
                "dataId": finding.source,
                "line": finding.line,
                "key": finding.key,
                "value": finding.value,
                "message": finding.message,
            }
            for finding in findings
        ],
    }
    return msgspec.json.format(msgspec.json.encode(body), indent=2).decode() + "\n"
