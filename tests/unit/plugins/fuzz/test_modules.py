# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The virtmem.libvirt authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Every module, with tasks of every sort, on hypervisors of every sort: a valid result or a coded refusal, and no more.

`./run units` tries 500 tasks, `./run fuzz` 10,000.
"""

from __future__ import annotations

import os

import pytest
from hypothesis import HealthCheck, given, settings

from ansible_collections.virtmem.libvirt.tests.unit.plugins import running
from ansible_collections.virtmem.libvirt.tests.unit.plugins.fake.document import canonical, element, text_of
from ansible_collections.virtmem.libvirt.tests.unit.plugins.fake.guest import Guest
from ansible_collections.virtmem.libvirt.tests.unit.plugins.fuzz import grammar, tally, tasks

EXAMPLES = int(os.environ.get("VIRTMEM_FUZZ_EXAMPLES", "500"))

# What happens to a guest, or is only known when it has been asked, is no fault of a plan. See check_guest_memory.
ONLY_REALITY_TELLS = {"partial", "timeout", "guest_needs_memory", "domain_not_found"}
OURS = ("maxMemory", "memory", "currentMemory", "memoryBacking", "memtune", "numatune", "cpu", "vcpu")
OURS_BELOW_DEVICES = ("memory", "memballoon")


def specs():
    return {name: running.argument_spec(name)["argument_spec"] for name in running.module_names()}


def share(name):
    """Of all examples, as many as the module has options of all options."""
    options = {other: tasks.number_of_options(spec) for other, spec in specs().items()}
    return -(-EXAMPLES * options[name] // sum(options.values()))


def definitions(hypervisor):
    """What only a task changes: a running guest plugs by itself, and leaves."""
    return {
        name: (_without_plugged(domain.live) if domain.live else None, domain.config and canonical(domain.config))
        for name, domain in hypervisor.all.items()
    }


def _without_plugged(text):
    root = element(text)
    for found in [root.find("currentMemory"), *root.findall("devices/memory/target/current")]:
        found.getparent().remove(found)
    return canonical(text_of(root))


def foreign(hypervisor):
    """What none of our options is about, which no task may touch."""
    return {name: [text and _foreign(text) for text in domain.texts()] for name, domain in hypervisor.all.items()}


def _foreign(text):
    root = element(text)
    for tag in OURS:
        for found in root.findall(tag):
            root.remove(found)
    for tag in OURS_BELOW_DEVICES:
        for found in root.findall(f"devices/{tag}"):
            found.getparent().remove(found)
    return canonical(text_of(root))


def steps_of(left):
    each = [entry.get("steps", []) for entry in left["domains"]] if "domains" in left else [left.get("steps", [])]
    return [step for steps in each for step in steps]


def essence(left):
    return [{**step, "done": None} for step in steps_of(left)]


def run(name, hypervisor, options, check=False):
    """One run, held against RETURN; None where Ansible itself refuses the options before the module has a say."""
    hypervisor.calls.clear()
    hypervisor.opened = 0
    try:
        left = running.run(name, pytest.MonkeyPatch, hypervisor, check=check, **options)
    except UnicodeEncodeError:  # AnsibleModule itself can't log half a surrogate pair
        assert not hypervisor.opened
        return None
    if not hypervisor.opened and left.failed and "error_code" not in left:
        assert hypervisor.calls == []
        return None
    grammar.check(name, left)
    assert hypervisor.opened == hypervisor.closed
    hypervisor.closed = 0
    return left


def follows(hypervisor):
    """Whether all guests do at once what they are asked; from others, a task may settle for less than was planned."""
    return all(domain.guest == Guest() and not domain.paused for domain in hypervisor.all.values())


def unforeseen(check, left):
    """The codes of those domains that failed for real alone: of many, one may be refused and another fall short."""
    pairs = zip(check["domains"], left["domains"])
    return {entry["error_code"] for foretold, entry in pairs if "error_code" in entry and "error_code" not in foretold}


def hold_together(name, hypervisor, options):
    """Check, run, run again; see the assertions."""
    before, strange = definitions(hypervisor), foreign(hypervisor)
    check = run(name, hypervisor, options, check=True)
    assert hypervisor.writes == []
    assert definitions(hypervisor) == before
    if check is None:
        return None
    restless = any(domain.guest.dies_at < 1e9 or domain.guest.reboots_at < 1e9 for domain in hypervisor.all.values())
    left = run(name, hypervisor, options)
    if check.failed:
        assert left.failed
        assert left["msg"] == check["msg"] or ("domains" in left and unforeseen(check, left) <= set(ONLY_REALITY_TELLS))
    elif left.failed:
        assert left["error_code"] in ONLY_REALITY_TELLS, left["msg"]
    elif not restless and (options.get("on_partial") not in ("settle", "rollback") or follows(hypervisor)):
        # Whether a device that nobody waits for has left by the end, the guest decides.
        for key in ("changed",) if options.get("wait") is False else ("changed", "restart_required", "pending"):
            assert check.get(key) == left.get(key), key
        assert essence(check) == essence(left)
    if not any(step["done"] for step in steps_of(left)):
        assert not left["changed"]
        if not restless:
            assert definitions(hypervisor) == before
    now = foreign(hypervisor)
    for domain, texts in strange.items():
        for old, new in zip(texts, now[domain]):
            assert new in (old, None)
    if not left.failed and left.get("converged", True):
        changed = left["changed"]
        again = run(name, hypervisor, options)
        assert (again["changed"], again.failed) == (False, False), (changed, again)
        assert not any(step["done"] for step in steps_of(again))
    return left


@pytest.mark.parametrize("name", running.module_names())
def test_module(name):
    @settings(
        max_examples=share(name),
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
    )
    @given(tasks.hypervisor, tasks.tasks(name))
    def fuzz(hypervisor, options):
        tally.note(name, hold_together(name, hypervisor, options))

    fuzz()
