# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The virtmem.libvirt authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Runs a job template as AWX does: ansible-runner, a folder with project, inventory and env, answers to a survey."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

import ansible_runner
import yaml

ROOT = Path(__file__).resolve().parents[2]
AWX = ROOT / "extensions/awx"
CONTROLLER = yaml.safe_load((AWX / "controller.yml").read_text())


class _Unsafe(str):
    """An answer to a survey, which AWX marks so that nobody's template is evaluated."""

    __slots__ = ()


yaml.SafeDumper.add_representer(_Unsafe, lambda dumper, text: dumper.represent_scalar("!unsafe", text))


def template(playbook, job_type="run"):
    """Return the job template of that playbook."""
    (found,) = (
        row for row in CONTROLLER["controller_templates"] if (row["playbook"], row["job_type"]) == (playbook, job_type)
    )
    return found


def answers(job_template, **given):
    """Return what AWX makes of a survey's answers: defaults, then what was typed, by the survey's own rules."""
    questions = {question["variable"]: question for question in job_template.get("survey_spec", {}).get("spec", [])}
    assert set(given) <= set(questions)
    defaults = {
        name: question["default"] for name, question in questions.items() if valid(question, question["default"])
    }
    result = defaults | given
    for name, question in questions.items():
        assert valid(question, result[name]) if name in result else not question["required"], name
    return {name: _Unsafe(answer) for name, answer in result.items()}


def valid(question, answer):
    """Tell whether AWX takes the answer; a default that it would not take is none."""
    if question["type"] == "multiplechoice":
        return answer in question["choices"]
    return isinstance(answer, str) and question["min"] <= len(answer) <= question["max"]


@dataclass
class Job:
    """What a job left behind: its artifacts."""

    status: str
    rc: int
    events: list[dict]

    @property
    def stats(self):
        (last,) = (event["event_data"] for event in self.events if event["event"] == "playbook_on_stats")
        return last

    @property
    def outcome(self):
        """Return the hosts on which something changed, or what went wrong."""
        return sorted(self.stats["changed"]) if self.status == "successful" else self.failures or self.status

    def results(self, action):
        """Return (host, result) of each event of this module, as AWX stores them."""
        return [
            (event["event_data"]["host"], event["event_data"]["res"])
            for event in self.events
            if event["event"] in {"runner_on_ok", "runner_on_failed", "runner_item_on_ok", "runner_item_on_failed"}
            and event["event_data"].get("resolved_action") == action
        ]

    @property
    def said(self):
        """Return the lines for a person, by host."""
        return {
            host: result["msg"]
            for host, result in self.results("ansible.builtin.debug")
            if isinstance(result.get("msg"), list)
        }

    @property
    def failures(self):
        """Return what went wrong, by host."""
        return {
            event["event_data"]["host"]: event["event_data"]["res"]["msg"]
            for event in self.events
            if event["event"] == "runner_on_failed"
        }

    @property
    def artifacts(self):
        """Return what set_stats hands to the next node of a workflow."""
        return self.stats.get("artifact_data", {})


def sliced(hosts, number, count):
    """Return AWX's slice of the hosts: each count-th, in the order of names."""
    return sorted(hosts, key=lambda hypervisor: hypervisor.host)[number - 1 :: count]


def run(folder, job_template, hypervisors, *, host_variables=None, limit=None, job_type=None, **given):
    """Run a job of the template on these hypervisors, with these answers to its survey."""
    if not (folder / "project").exists():
        shutil.copytree(AWX / "project", folder / "project")
    _inventory(folder, hypervisors, host_variables or {})
    _environment(folder, hypervisors)
    (folder / "env/extravars").write_text(
        yaml.safe_dump({"awx_job_template_name": job_template["name"], **answers(job_template, **given)})
    )
    words = []
    if (job_type or job_template["job_type"]) == "check":
        words.append("--check")
    if job_template.get("diff_mode"):
        words.append("--diff")
    if limit:
        words += ["-l", limit]
    (folder / "env/cmdline").write_text(" ".join(words))
    ended = ansible_runner.run(private_data_dir=str(folder), playbook=job_template["playbook"], ident="1", quiet=True)
    events = sorted(
        (json.loads(path.read_text()) for path in (folder / "artifacts/1/job_events").glob("*.json")),
        key=lambda event: event["counter"],
    )
    assert (folder / "artifacts/1/status").read_text() == ended.status
    return Job(ended.status, ended.rc, events)


def _inventory(folder, hypervisors, host_variables):
    """Write the inventory as AWX does: a program that prints it."""
    inventory = {
        "all": {"hosts": [hypervisor.host for hypervisor in hypervisors]},
        "_meta": {
            "hostvars": {
                hypervisor.host: hypervisor.variables(**host_variables.get(hypervisor.host, {}))
                for hypervisor in hypervisors
            }
        },
    }
    (folder / "inventory").mkdir()
    program = folder / "inventory/hosts"
    program.write_text(f"#!/usr/bin/env python3\nprint({json.dumps(inventory)!r})\n")
    program.chmod(0o700)


def _environment(folder, hypervisors):
    """Write what else AWX gives to a job; the machine credential's key goes into an agent."""
    (folder / "env").mkdir()
    (folder / "env/ssh_key").write_text(Path(hypervisors[0].ssh["key"]).read_text())
    (folder / "env/ssh_key").chmod(0o600)
    (folder / "env/settings").write_text(json.dumps({"idle_timeout": 120, "job_timeout": 240}))
    (folder / "env/envvars").write_text(
        json.dumps(
            {
                "ANSIBLE_COLLECTIONS_PATH": os.environ["ANSIBLE_COLLECTIONS_PATH"],
                "ANSIBLE_SSH_CONTROL_PATH_DIR": str(folder / "cp"),
                "ANSIBLE_SSH_ARGS": os.environ["ANSIBLE_SSH_ARGS"],
            }
        )
    )
