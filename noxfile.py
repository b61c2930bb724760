# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The virtmem.libvirt authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What `./run NAME` can do. The first line of a session's docstring is its line in `./run --list`."""

from __future__ import annotations

import json
import logging
import os
import secrets
import shutil
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

import nox

sys.path.insert(0, str(Path(__file__).resolve().parent))

from tools import locks, matrix as test_matrix, parts, pythons, sandbox, targets, tree, vulnerabilities

SYSTEM_PYTHON = "/usr/bin/python3"  # the one that has the distribution's libvirt and lxml

nox.options.default_venv_backend = "virtualenv"
nox.options.error_on_missing_interpreters = True
nox.options.reuse_venv = "yes"
os.environ.update(LC_ALL="C.UTF-8", PYTHONDONTWRITEBYTECODE="1", PIP_DISABLE_PIP_VERSION_CHECK="1")

# That it does without uv is no news.
logging.getLogger("nox").addFilter(lambda record: not record.getMessage().startswith("uv binary"))
# These speak to a person themselves, to the last line.
if {"bench", "demo", "lab", "matrix", "test"} & set(sys.argv):
    logging.getLogger("nox").setLevel(logging.CRITICAL)


def install(session: nox.Session, name: str) -> None:
    """Install requirements/NAME.txt by its lock, unless this very text is what the session's venv was made from."""
    tree.claim(session.name)
    folder = tree.requirements()
    source = locks.lock_of(folder / f"{name}.txt") or folder / f"{name}.txt"
    wanted = (folder / "ansible.txt").read_text() + source.read_text()
    mark = Path(session.virtualenv.location) / "made-from"
    if mark.exists() and mark.read_text() == wanted:
        return
    session.install("-qq", "-r", str(source))
    mark.write_text(wanted)


def ansible_settings(session: nox.Session) -> dict[str, str]:
    """Keep Ansible away from what the user has in ~/.ansible and /etc/ansible."""
    home = tree.WORK / "homes" / session.name
    home.mkdir(parents=True, exist_ok=True)
    empty = home / "ansible.cfg"
    empty.touch()
    return {
        "ANSIBLE_HOME": str(home / ".ansible"),
        "ANSIBLE_REMOTE_TMP": str(home / ".ansible/tmp"),
        "ANSIBLE_CONFIG": str(empty),
        "ANSIBLE_NOCOWS": "1",
    }


@nox.session
def demo(session: nox.Session) -> None:
    """Boot a small guest on a private hypervisor; give it memory and take it back."""
    install(session, "ansible")
    place = tree.arrange("demo")
    session.env.update(ansible_settings(session), ANSIBLE_COLLECTIONS_PATH=str(tree.collections_path(place)))
    session.run(SYSTEM_PYTHON, str(tree.ROOT / "tests/lab/demo.py"), *session.posargs, external=True)


@nox.session(venv_backend="none")
def test(session: nox.Session) -> None:
    """Everything: lint, docs, galaxy, units, sanity, runner, integration; ends with a table. [-- --one-at-a-time --each-once | --all-hypervisors]"""
    # integration takes longer than all others together, so nothing goes before it.
    lanes = [["lint", "docs", "galaxy", "units", "sanity", "runner"], ["integration"]]
    if "--one-at-a-time" in session.posargs:
        lanes = [[part for lane in lanes for part in lane]]
    words = {"integration": [word for word in session.posargs if word in {"--each-once", "--all-hypervisors"}]}
    if not parts.run(lanes, words, log_folder=tree.WORK / "logs"):
        session.error()


@nox.session
def lint(session: nox.Session) -> None:
    """Style, types, YAML, playbooks, licences, shell. [-- --fix]"""
    install(session, "lint")
    if "--fix" in session.posargs:
        with session.chdir(tree.ROOT):
            session.run("ruff", "check", "--fix", "--quiet", success_codes=[0, 1])
            session.run("ruff", "format", "--quiet")
    place = tree.arrange("lint")
    collections = tree.collections_path(place)
    cache = tree.WORK / "caches"
    session.env.update(
        ansible_settings(session),
        ANSIBLE_COLLECTIONS_PATH=str(collections),
        MYPYPATH=str(collections),
        MYPY_CACHE_DIR=str(cache / "mypy"),
        RUFF_CACHE_DIR=str(cache / "ruff"),
    )
    packages = [
        word
        for name in ("plugins/module_utils", "plugins/modules", "tests/unit/plugins/fake")
        if any((place / name).rglob("*.py"))
        for word in ("-p", f"ansible_collections.virtmem.libvirt.{name.replace('/', '.')}")
    ]
    shell_files = [name for name in tree.belonging() if name in {"run", ".ci/run"} or name.endswith(".sh")]
    with session.chdir(place):
        shutil.rmtree(".ansible", ignore_errors=True)  # reuse would ask it for licences
        parts.all_of(
            lambda: session.run("ruff", "check", "--quiet", "--output-format", "concise"),
            lambda: session.run("ruff", "format", "--check", "--quiet", "--diff"),
            lambda: session.run("mypy", "--no-error-summary", *packages),
            lambda: session.run("yamllint", "--strict", "."),
            lambda: session.run("shellcheck", *shell_files),
            lambda: _locked(session),
            lambda: session.run("reuse", "lint", "--lines"),
            lambda: session.run("ansible-lint", "--offline", "--profile", "production", "--strict", "--nocolor", "-q"),
        )


def _locked(session: nox.Session) -> None:
    if locks.stale():
        session.error("./run lock: requirements/locked is not of what requirements says:", *locks.stale())


@nox.session
def lock(session: nox.Session) -> None:
    """Write requirements/locked anew: all packages of each session, with hashes. [-- NAME ...]"""
    install(session, "lock")
    for name in session.posargs or locks.names():
        locks.make(session, name)


@nox.session
def audit(session: nox.Session) -> None:
    """Ask PyPI whether a package in requirements/locked is known to be vulnerable. [-- NAME ...]"""
    install(session, "lock")
    if not vulnerabilities.found_none(session, session.posargs or locks.names()):
        session.error("a locked package is known to be vulnerable")


@nox.session
def sanity(session: nox.Session) -> None:
    """Every `ansible-test sanity` test, with nothing ignored. [-- --test NAME ...]"""
    install(session, "ansible")
    place = tree.arrange("sanity")
    versions, folder = sandbox.sanity_pythons(session)
    path = os.pathsep.join(filter(None, [session.bin, folder, os.environ["PATH"]]))
    session.env.update(sandbox.private_home(session, "sanity"), PATH=path)
    with session.chdir(place):
        session.run("ansible-test", "sanity", *versions, "--color", "no", *session.posargs)


@nox.session
def units(session: nox.Session) -> None:
    """Unit tests, with the coverage of module_utils (95 % of lines at least). [-- PYTEST ARGUMENTS]"""
    install(session, "units")
    place = tree.arrange("units")
    reports = tree.WORK / "reports"
    reports.mkdir(exist_ok=True)
    session.env.update(PYTHONPATH=str(tree.collections_path(place)), COVERAGE_FILE=str(reports / "coverage"))
    coverage = ["--cov=plugins/module_utils", "--cov-report=term-missing"]
    if not session.posargs:
        coverage.append("--cov-fail-under=95")
    with session.chdir(place):
        session.run("python", "-m", "pytest", *coverage, "-o", f"cache_dir={tree.WORK}/caches/pytest", *session.posargs)


@nox.session
def fuzz(session: nox.Session) -> None:
    """10,000 tasks nobody would write, and as many odd documents; other ones each time. [-- EXAMPLES [SEED]]"""
    install(session, "units")
    place = tree.arrange("fuzz")
    defaults = ("10000", str(secrets.randbelow(2**32)))
    examples, seed = [*session.posargs, *defaults[len(session.posargs) :]]
    session.env.update(PYTHONPATH=str(tree.collections_path(place)), VIRTMEM_FUZZ_EXAMPLES=examples)
    with session.chdir(place):
        session.run(
            *("python", "-m", "pytest", "-o", f"cache_dir={tree.WORK}/caches/pytest", "--hypothesis-profile=new"),
            *(f"--hypothesis-seed={seed}", "tests/unit/plugins/fuzz"),
        )


@nox.session
def mutants(session: nox.Session) -> None:
    """Change what is pure in module_utils, one thing at a time: do its own tests notice? Hours. [-- FILE ...]"""
    install(session, "mutants")
    place = tree.arrange("mutants")
    # Each mutant imports all else anew: what is compiled is kept.
    session.env.update(PYTHONPATH=str(tree.collections_path(place)), PYTHONDONTWRITEBYTECODE=None)
    with session.chdir(place):
        session.run("python", "-m", "tools.mutants", *session.posargs)


@nox.session
def portability(session: nox.Session) -> None:
    """Unit tests by ansible-test, on each Python for targets that is here. [-- VERSION ...]"""
    install(session, "ansible")
    wanted = session.posargs or list(pythons.TARGETS)
    found = {version: path for version in wanted if (path := pythons.find(version))}
    for version in wanted:
        if version not in found:
            print(f"skipped: no Python {version} on this machine")
    place = tree.arrange("portability")
    session.env.update(sandbox.private_home(session, "portability"))
    session.env["PATH"] = os.pathsep.join(
        [session.bin, *(str(path.parent) for path in found.values()), os.environ["PATH"]]
    )
    machines = [word for version in found for word in ("--target-python", f"venv/{version}")]
    controller = f"origin:python={sandbox.version_of(session)}"
    with session.chdir(place):
        session.run("ansible-test", "units", "--requirements", "--color", "no", "--controller", controller, *machines)


@nox.session
def integration(session: nox.Session) -> None:
    """Integration targets, on real guests of a private hypervisor. [-- TARGET ... --each-once | --all-hypervisors | --list]"""
    if "--list" in session.posargs:
        print(*targets.names(), sep="\n")
        return
    install(session, "integration")
    wanted = [word for word in session.posargs if not word.startswith("-")] or targets.names()
    unknown = set(wanted) - set(targets.names())
    if unknown:
        session.error("no such target:", *sorted(unknown), "| there are:", *targets.names())
    homes = [
        sandbox.private_home(session, f"integration-{number}")
        for number in range(1 if "--one-at-a-time" in session.posargs else targets.WORKERS)
    ]
    session.env["PATH"] = f"{session.bin}{os.pathsep}{os.environ['PATH']}"
    environment = {name: value for name, value in {**os.environ, **session.env}.items() if value is not None}
    each_once = "--each-once" in session.posargs
    everywhere = each_once or "--all-hypervisors" in session.posargs
    hypervisors = targets.hypervisors(SYSTEM_PYTHON) if everywhere else [targets.chosen_hypervisor()]
    run = targets.Run(
        targets.plan(wanted, hypervisors, each_once),
        hypervisors,
        SYSTEM_PYTHON,
        sandbox.version_of(session),
        [{**environment, **home} for home in homes],
        must_have_all=not everywhere or os.environ.get("CI", "") == "true",
    )
    if not run.all():
        session.error("a target failed")


@nox.session
def runner(session: nox.Session) -> None:
    """Playbooks as people and AWX run them, on two hypervisors over SSH; job templates; audit. [-- PYTEST ARGUMENTS]"""
    install(session, "runner")
    place = tree.arrange("runner")
    session.env.update(ansible_settings(session), ANSIBLE_COLLECTIONS_PATH=str(tree.collections_path(place)))
    session.env.update(
        VIRTMEM_LAB=f"{SYSTEM_PYTHON} {tree.ROOT / 'tests/lab/lab.py'}",
        VIRTMEM_AWX_COLLECTIONS=str(_collection_of_awx(session)),
    )
    with session.chdir(place):
        cache = ("-o", f"cache_dir={tree.WORK}/caches/pytest-runner")
        session.run("python", "-m", "pytest", *cache, *(session.posargs or ["tests/runner"]))


def _collection_of_awx(session: nox.Session) -> Path:
    """Take awx.awx, and no more, out of the package that has it; an installation of all would be half a gigabyte."""
    requirement = (tree.ROOT / "requirements/awx.txt").read_text().split()[-1]
    folder = tree.WORK / "caches" / requirement
    if not folder.exists():
        with tempfile.TemporaryDirectory(dir=tree.WORK) as scratch:
            download = ("download", "-qq", "--no-deps", "--only-binary=:all:", "--python-version=3.12", "-d", scratch)
            session.run("python", "-m", "pip", *download, requirement)
            with zipfile.ZipFile(next(Path(scratch).glob("*.whl"))) as package:
                for name in package.namelist():
                    if name.startswith("ansible_collections/awx/awx/"):
                        package.extract(name, Path(scratch, "wanted"))
            Path(scratch, "wanted").rename(folder)
    return folder


@nox.session(venv_backend="none")
def lab(session: nox.Session) -> None:
    """The private hypervisor by hand. -- up | status | guest | down"""
    session.run(SYSTEM_PYTHON, str(tree.ROOT / "tests/lab/lab.py"), *session.posargs, external=True)


@nox.session
def bench(session: nox.Session) -> None:
    """How fast it is, beside ping, virsh and bare libvirt; writes the table of the docs."""
    install(session, "bench")
    place = tree.arrange("bench")
    session.env.update(ansible_settings(session), ANSIBLE_COLLECTIONS_PATH=str(tree.collections_path(place)))
    session.run(SYSTEM_PYTHON, str(tree.ROOT / "tests/bench/bench.py"), external=True)


@nox.session(venv_backend="none")
def matrix(session: nox.Session) -> None:
    """The tests with each ansible-core; writes the matrix of the docs. [-- 2.16 ... sanity | portability | integration | TARGET ...]"""
    if not test_matrix.run(session.posargs):
        session.error()


@nox.session
def docs(session: nox.Session) -> None:
    """Documentation and changelog are right."""
    install(session, "docs")
    place = tree.arrange("docs")
    session.env.update(ansible_settings(session), ANSIBLE_COLLECTIONS_PATH=str(tree.collections_path(place)))
    with session.chdir(place):
        parts.all_of(
            lambda: session.run(
                *("antsibull-docs", "lint-collection-docs", "--plugin-docs", "--check-extra-docs-refs"),
                *("--validate-collection-refs", "all", "--disallow-unknown-collection-refs", "."),
            ),
            lambda: session.run("antsibull-changelog", "lint"),
        )


@nox.session
def galaxy(session: nox.Session) -> None:
    """What a user gets: the archive builds, installs into an empty path, is listed, and is one that Galaxy imports."""
    install(session, "galaxy")
    tree.claim("galaxy")
    session.env.update(ansible_settings(session))
    with tempfile.TemporaryDirectory() as empty:
        session.env.update(ANSIBLE_COLLECTIONS_PATH=empty, HOME=empty)  # ansible-lint's cache, too, is no one else's
        # From the checkout itself, as a user would.
        session.run("ansible-galaxy", "collection", "build", "--output-path", empty, str(tree.ROOT), silent=True)
        archive = next(Path(empty).glob("*.tar.gz"))
        with tarfile.open(archive) as content:
            strange = {m.name for m in content if m.isfile()} - set(tree.belonging()) - {"MANIFEST.json", "FILES.json"}
        if strange:
            session.error("build_ignore in galaxy.yml lets these into the archive:", *sorted(strange))
        _install_and_list(session, archive)
        _import(session, archive)


def _install_and_list(session: nox.Session, archive: Path) -> None:
    session.run(
        *("ansible-galaxy", "collection", "install", "--offline", "--no-deps", "-p", str(archive.parent), str(archive)),
        silent=True,
    )
    listed = session.run("ansible-doc", "--list", "--json", "virtmem.libvirt", silent=True, stderr=sys.stderr)
    shown = set(json.loads(str(listed)))
    wanted = {f"virtmem.libvirt.{path.stem}" for path in (tree.ROOT / "plugins/modules").glob("[!_]*.py")}
    if shown != wanted:
        session.error("ansible-doc of the installed archive differs from plugins/modules:", *sorted(shown ^ wanted))
    session.log(f"the archive ({len(shown)} modules) builds, installs and is listed by ansible-doc")


def _import(session: nox.Session, archive: Path) -> None:
    """Have Galaxy's own importer look at it, with what Automation Hub asks for; a warning is a failure."""
    asked = ("CHECK_REQUIRED_TAGS", "REQUIRE_V1_OR_GREATER", "RUN_ANSIBLE_LINT", "OFFLINE_ANSIBLE_LINT")
    session.env.update({f"GALAXY_IMPORTER_{name}": "true" for name in asked})
    session.env["PATH"] = f"{session.bin}{os.pathsep}{os.environ['PATH']}"
    with session.chdir(archive.parent):  # it leaves its result where it stands
        told = str(session.run("python", "-m", "galaxy_importer.main", str(archive), silent=True))
        result = json.loads(Path("importer_result.json").read_text())
    complaints = [line for line in told.splitlines() if line.startswith(("WARNING", "ERROR"))]
    if complaints:
        session.error("Galaxy's importer is not content:", *complaints)
    modules = [part for part in result["contents"] if part["content_type"] == "module"]
    session.log(f"Galaxy's importer takes it, with {len(modules)} modules and no warning")
