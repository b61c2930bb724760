# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The virtmem.libvirt authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The files for AWX: its own modules take them, ansible-builder takes ours, and the surveys ask for what playbooks know."""

from __future__ import annotations

import importlib
import os
import re
import subprocess
import sys
from pathlib import Path

import awx
import awx_api
import pytest
import yaml
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator

COLLECTIONS = os.environ["VIRTMEM_AWX_COLLECTIONS"]  # with awx.awx
TEMPLATES = awx.CONTROLLER["controller_templates"]


@pytest.fixture(scope="module")
def configured():
    """Run configure.yml, with AWX's modules, and return what they made."""
    store = awx_api.Store(organizations=["Default"], inventories=["Hypervisors"], credentials=["Hypervisors"])
    with awx_api.serving(store) as address:
        environment = {
            **os.environ,
            "ANSIBLE_COLLECTIONS_PATH": COLLECTIONS,
            "ANSIBLE_LOCALHOST_WARNING": "False",
            "ANSIBLE_INVENTORY_UNPARSED_WARNING": "False",
            "CONTROLLER_HOST": address,
            "CONTROLLER_OAUTH_TOKEN": "none",
        }
        done = subprocess.run(
            ["ansible-playbook", str(awx.AWX / "configure.yml")],
            check=False,
            env=environment,
            capture_output=True,
            text=True,
        )
    assert done.returncode == 0, done.stdout + done.stderr
    return store


def test_modules_of_awx_make_them(configured):
    made = configured.of("job_templates")
    assert [row["name"] for row in made] == [row["name"] for row in TEMPLATES]
    (project,) = configured.of("projects")
    (environment,) = configured.of("execution_environments")
    for row, wanted in zip(made, TEMPLATES):
        assert row["survey_spec"] == wanted.get("survey_spec", {})
        assert (row["project"], row["execution_environment"]) == (project["id"], environment["id"])
        assert (row["inventory"], row["credentials"]) == (1, [1])
        assert row["playbook"] == wanted["playbook"]
    assert project["default_environment"] == environment["id"]


def test_both_job_types():
    assert {row["job_type"] for row in TEMPLATES} == {"run", "check"}
    for row in TEMPLATES:
        checks = [other for other in TEMPLATES if other["playbook"] == row["playbook"] and other["job_type"] == "check"]
        assert checks or row.get("ask_job_type_on_launch") or row["playbook"] == "report.yml"


@pytest.mark.parametrize(
    ("module", "variable"),
    [
        ("job_template", "controller_templates"),
        ("project", "controller_projects"),
        ("execution_environment", "controller_execution_environments"),
    ],
)
def test_argument_specs(module, variable):
    """Every key is an option of the module with a value of its type: of awx.awx here, and so of ansible.controller."""
    spec = _argument_spec(module)
    for row in awx.CONTROLLER[variable]:
        assert not ArgumentSpecValidator(spec).validate(row).error_messages
        assert ArgumentSpecValidator(spec).validate({**row, "survey": {}}).unsupported_parameters


def _argument_spec(module):
    """Return what a module of awx.awx gives to its AnsibleModule."""
    if COLLECTIONS not in sys.path:
        sys.path.insert(0, COLLECTIONS)
    name = "ansible_collections.awx.awx.plugins"
    for known in [key for key in sys.modules if key.startswith("ansible_collections")]:
        del sys.modules[known]
    loaded = importlib.import_module(f"{name}.modules.{module}")

    class CaughtError(Exception):
        pass

    def catch(argument_spec, **_rest):
        raise CaughtError(argument_spec)

    loaded.ControllerAPIModule = catch
    with pytest.raises(CaughtError) as caught:
        loaded.main()
    return caught.value.args[0]


@pytest.mark.parametrize("row", TEMPLATES, ids=lambda row: row["name"])
def test_surveys_ask_what_playbooks_know(row):
    (play,) = yaml.safe_load((awx.AWX / "project" / row["playbook"]).read_text())
    playbook = awx.ROOT / "playbooks" / f"{play['ansible.builtin.import_playbook'].rpartition('.')[2]}.yml"
    texts = [playbook, *(awx.ROOT / "playbooks/vars").iterdir()]
    known = set(re.findall(r"virtmem_\w+", "".join(path.read_text() for path in texts)))
    asked = {question["variable"] for question in row.get("survey_spec", {}).get("spec", [])}
    assert asked <= known


def test_project_has_a_playbook_of_each():
    ours = {path.name for path in (awx.ROOT / "playbooks").glob("*.yml")}
    assert {path.name for path in (awx.AWX / "project").glob("*.yml")} == ours
    assert {row["playbook"] for row in TEMPLATES} == ours


def test_execution_environment(tmp_path):
    """ansible-builder takes the definition, and sees what the collection needs in one."""
    subprocess.run(
        [
            "ansible-builder",
            "create",
            "-f",
            str(awx.AWX / "execution-environment.yml"),
            "-c",
            str(tmp_path),
            "--output-filename",
            "Containerfile",
        ],
        check=True,
        capture_output=True,
    )
    container = (tmp_path / "Containerfile").read_text()
    assert "quay.io/fedora/fedora" in container
    galaxy = yaml.safe_load((tmp_path / "_build/requirements.yml").read_text())
    assert galaxy["collections"] == [{"name": "virtmem.libvirt"}]

    folder = os.environ["ANSIBLE_COLLECTIONS_PATH"]
    done = subprocess.run(["ansible-builder", "introspect", folder], check=True, capture_output=True, text=True)
    found = yaml.safe_load(done.stdout)
    assert done.stderr == ""
    python, system = (str(found[kind]) for kind in ("python", "system"))
    assert "libvirt-python" in python
    assert "lxml" in python
    assert "libvirt-libs" in system
    assert "virtmem.libvirt" in python
    assert Path(folder).is_dir()
