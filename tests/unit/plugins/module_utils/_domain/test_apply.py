# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The virtmem.libvirt authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Plans carried out on the fake: every policy with every kind of plan, and every write failing in turn."""

from __future__ import annotations

import functools
from dataclasses import replace

import pytest

from ansible_collections.virtmem.libvirt.plugins.module_utils._domain.apply import Applier
from ansible_collections.virtmem.libvirt.plugins.module_utils._domain.plan import plan_domain
from ansible_collections.virtmem.libvirt.plugins.module_utils._domain.spec import PlanInput
from ansible_collections.virtmem.libvirt.plugins.module_utils._errors import VirtmemError
from ansible_collections.virtmem.libvirt.plugins.module_utils._model import Platform
from ansible_collections.virtmem.libvirt.plugins.module_utils._wait import WaitOptions
from ansible_collections.virtmem.libvirt.plugins.module_utils._xml.observe import observe
from ansible_collections.virtmem.libvirt.tests.unit.plugins.fake_hypervisor import (
    BOOKWORM,
    GIB,
    MIB,
    TRIXIE,
    FakeHypervisor,
    Guest,
    canonical,
    device,
)
from ansible_collections.virtmem.libvirt.tests.unit.plugins.module_utils.models import one

POLICIES = ["fail", "warn", "settle", "rollback"]


class Stage:
    """A domain, a plan for it, and what came of it."""

    def __init__(self, spec, *devices, scopes=None, guest=None, versions=TRIXIE, settled=True, **options):
        self.hypervisor = FakeHypervisor(versions_are=versions)
        self.domain = self.hypervisor.add(*devices, guest=guest, current=GIB).start(settled)
        self.before = [canonical(text) for text in self.domain.texts()]
        texts, observed = observe(self.domain, self.domain.state())
        platform = Platform(versions, 2 * MIB)
        self.plan = plan_domain(PlanInput(spec, observed, tuple(scopes or ("live", "config")), platform))
        self.applier = Applier(
            self.plan, self.domain, texts, WaitOptions(**{"timeout": 20, **options}), self.hypervisor.clock
        )
        self.error = None
        self.hypervisor.calls.clear()

    def run(self):
        try:
            self.applier.run()
        except VirtmemError as error:
            self.error = error
        return self

    @property
    def code(self):
        return self.error and self.error.code

    @property
    def done(self):
        return [(step.action, step.scope) for step in self.applier.outcome.done]

    @property
    def as_before(self):
        return [canonical(text) for text in self.domain.texts()] == self.before


GROW = one(requested=6 * GIB)
SHRINK = one(requested=0)
ATTACH = one(size=8 * GIB, requested=2 * GIB)
ABSENT = one(absent=True)

TABLE = [
    # what, devices, guest, then for each policy: error code, requested live, requested config (None: no device)
    ("grow", GROW, [device()], {"highest": 4 * GIB}, "partial", (6, 6), (6, 6), (4, 4), (2, 2)),
    ("grow, nothing moves", GROW, [device()], {"highest": 2 * GIB}, "timeout", (6, 6), (6, 6), (2, 2), (2, 2)),
    ("shrink", SHRINK, [device()], {"lowest": GIB}, "partial", (0, 0), (0, 0), (1, 1), (2, 2)),
    ("shrink, nothing moves", SHRINK, [device()], {"lowest": 9 * GIB}, "timeout", (0, 0), (0, 0), (2, 2), (2, 2)),
    ("attach", ATTACH, [], {"highest": GIB}, "partial", (2, 2), (2, 2), (1, 1), (None, None)),
    ("attach, no driver", ATTACH, [], {"driver": False}, "timeout", (2, 2), (2, 2), (0, 0), (None, None)),
    ("absent", ABSENT, [device()], {"lowest": GIB}, "partial", (0, 2), (0, None), (1, None), (2, 2)),
]


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("row", TABLE, ids=[row[0] for row in TABLE])
def test_guest_that_follows_part_of_the_way(row, policy):
    _what, spec, devices, guest, code, *requested = row
    stage = Stage(spec, *devices, guest=Guest(**guest), on_partial=policy).run()
    assert stage.code == (code if policy in ("fail", "rollback") else None)
    got = [
        size if size is None else size // GIB for size in (stage.domain.requested(), stage.domain.requested("config"))
    ]
    assert tuple(got) == requested[POLICIES.index(policy)]
    assert len(stage.applier.outcome.warnings) == (policy in ("warn", "settle"))
    if policy == "rollback":
        assert stage.as_before
        assert "rolled back" in stage.error.message
        assert "request stands" not in stage.error.hint
    if policy == "settle":
        assert "settled at" in stage.applier.outcome.warnings[0]
    assert all(watch.closed for watch in stage.hypervisor.watches)


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("spec", [GROW, SHRINK, ATTACH, ABSENT], ids=["grow", "shrink", "attach", "absent"])
def test_guest_that_follows(spec, policy):
    devices = [] if spec is ATTACH else [device()]
    stage = Stage(spec, *devices, on_partial=policy).run()
    assert stage.error is None
    assert stage.applier.outcome.warnings == []
    assert list(stage.applier.outcome.done) == list(stage.plan.writes)


def test_settle_rounds_to_what_was_reached_and_keeps_geometry():
    stage = Stage(GROW, device(block=4 * MIB), guest=Guest(rate=100 * MIB), on_partial="settle", timeout=5).run()
    assert stage.error is None
    current = stage.domain.current()
    assert 0 < current - 2 * GIB < 4 * GIB
    assert stage.domain.requested() == stage.domain.requested("config") == current


@pytest.mark.parametrize("scopes", [["live"], ["live", "config"]], ids=["live", "both"])
def test_settle_where_all_was_asked_before_and_nothing_is_written(scopes):
    stage = Stage(one(), device(), guest=Guest(highest=GIB), settled=False, scopes=scopes, on_partial="settle").run()
    assert stage.error is None
    assert stage.done == [("resize", scope) for scope in scopes]
    assert stage.domain.requested() == GIB
    assert stage.domain.requested("config") == (GIB if "config" in scopes else 2 * GIB)


def test_somebody_else_asks_for_something_else_while_we_wait():
    stage = Stage(GROW, device(), guest=Guest(rate=64 * MIB))

    def meddle(domain, called, scope):
        if (called, scope) == ("xml", "live"):
            domain.edit(
                "live", lambda root: root.find("devices/memory/target/requested").__setattr__("text", "1048576")
            )

    stage.hypervisor.before_call = meddle
    stage.run()
    assert stage.code == "domain_busy"
    assert stage.error.details["requested"] == GIB
    assert "1 GiB" in stage.error.message
    assert stage.done == [("resize", "live"), ("resize", "config")]


def test_shortfall_has_the_numbers():
    stage = Stage(SHRINK, device(), guest=Guest(lowest=GIB)).run()
    assert stage.error.details == {
        "requested": 0,
        "current": GIB,
        "before": 2 * GIB,
        "moved": GIB,
        "asked": 2 * GIB,
        "wait_timeout": 20,
    }
    assert "gave back 1 GiB of 2 GiB in 20 s" in stage.error.message
    assert "online_movable" in stage.error.hint
    stage = Stage(GROW, device(), guest=Guest(highest=3 * GIB)).run()
    assert "took 1 GiB of 4 GiB in 20 s" in stage.error.message
    assert "virtio_mem driver" in stage.error.hint


def test_guest_that_goes_the_other_way_has_not_moved():
    """A reboot while waiting: less is plugged than before, though more was asked for."""
    stage = Stage(GROW, device())
    stage.domain.guest.driver = False
    stage.run()
    assert (stage.code, stage.error.details["moved"]) == ("timeout", 0)


@pytest.mark.parametrize("spec", [GROW, ATTACH, ABSENT], ids=["grow", "attach", "absent"])
def test_no_wait(spec):
    stage = Stage(spec, *([] if spec is ATTACH else [device()]), guest=Guest(rate=MIB * 64), wait=False)
    start = stage.hypervisor.clock.now
    stage.run()
    assert stage.error is None
    assert stage.hypervisor.clock.now == start


# ---------------------------------------------------------------------------------------------------- failing in turn

PLANS = {
    "grow": (GROW, [device()], None),
    "attach": (ATTACH, [], None),
    "absent": (ABSENT, [device()], None),
    "define": (one(size=32 * GIB), [device()], ["config"]),
}


@pytest.mark.parametrize("code", ["libvirt_error", "timeout", "permission_denied"])
@pytest.mark.parametrize("name", PLANS)
def test_each_write_fails_in_turn(name, code):
    spec, devices, scopes = PLANS[name]
    whole = Stage(spec, *devices, scopes=scopes).run()
    writes = list(whole.hypervisor.writes)
    assert len(writes) == len(whole.plan.writes)
    for number in range(len(writes)):
        stage = Stage(spec, *devices, scopes=scopes)

        def fail(_domain, called, scope, stage=stage, number=number):
            if (called, scope) in stage.hypervisor.writes and len(stage.hypervisor.writes) == number + 1:
                raise VirtmemError(code, "It failed.")

        stage.hypervisor.before_call = fail
        stage.run()
        assert stage.code == code
        assert stage.done == whole.done[:number]
        assert stage.hypervisor.writes == writes[: number + 1], "nothing is tried after a failure"
        assert all(watch.closed for watch in stage.hypervisor.watches)


def breaking(stage, number, lost):
    """The link breaks at that write: its call does not arrive, or its answer does not, or nothing does from then on."""
    real = {name: getattr(stage.domain, name) for name in WRITES}
    made = [0]

    def call(name, *arguments):
        made[0] += 1
        if lost == "answer" or made[0] != number + 1:
            real[name](*arguments)
        if made[0] == number + 1:
            raise VirtmemError("connection_lost", "It broke.")

    for name in WRITES:
        setattr(stage.domain, name, functools.partial(call, name))


WRITES = ("attach", "update", "unplug", "detach_config", "define", "set_current_memory")


@pytest.mark.parametrize("lost", ["call", "answer"])
@pytest.mark.parametrize("name", PLANS)
def test_the_link_breaks_at_each_write_and_comes_back(name, lost):
    spec, devices, scopes = PLANS[name]
    whole = Stage(spec, *devices, scopes=scopes).run()
    for number in range(len(whole.hypervisor.writes)):
        stage = Stage(spec, *devices, scopes=scopes)
        breaking(stage, number, lost)
        stage.run()
        assert stage.error is None
        assert stage.done == whole.done
        assert stage.domain.texts() == whole.domain.texts(), "nothing is missing, nothing is there twice"


@pytest.mark.parametrize("name", PLANS)
def test_the_link_breaks_at_each_write_for_good(name):
    spec, devices, scopes = PLANS[name]
    whole = Stage(spec, *devices, scopes=scopes).run()
    for number in range(len(whole.hypervisor.writes)):
        stage = Stage(spec, *devices, scopes=scopes)

        def fail(_domain, _called, _scope, stage=stage, number=number):
            if len(stage.hypervisor.writes) > number:
                raise VirtmemError("connection_lost", "It broke.")

        stage.hypervisor.before_call = fail
        stage.run()
        assert stage.code == "connection_lost"
        assert stage.done == whole.done[:number]


def test_a_device_without_an_alias_is_not_added_twice():
    stage = Stage(ATTACH)
    nameless = (replace(step, device=replace(step.device, alias=None)) for step in stage.plan.steps)
    stage.applier._plan = replace(stage.plan, steps=tuple(nameless))
    breaking(stage, 0, "answer")
    stage.run()
    assert stage.code == "connection_lost"
    assert stage.done == []
    assert stage.domain.texts()[0].count("<memory model=") == 1


@pytest.mark.parametrize("number", [2, 3])
def test_rollback_that_fails_says_what_was_done(number):
    stage = Stage(SHRINK, device(), guest=Guest(lowest=GIB), on_partial="rollback")

    def fail(_domain, _called, _scope):
        if len(stage.hypervisor.writes) == number + 1:
            raise VirtmemError("connection_lost", "It failed.")

    stage.hypervisor.before_call = fail
    stage.run()
    assert stage.code == "connection_lost"
    assert stage.done == [("resize", "live"), ("resize", "config"), ("resize", "live")][:number]


def test_events_are_watched_before_the_first_write():
    stage = Stage(GROW, device()).run()
    names = [name for name, _scope in stage.hypervisor.calls]
    assert names.index("watch") < names.index("update")


def test_nothing_to_do_asks_nothing():
    stage = Stage(one(requested=2 * GIB), device()).run()
    assert stage.hypervisor.calls == []


def test_unplug_that_qemu_refuses_leaves_the_device_and_goes_on():
    stage = Stage(ABSENT, device())
    stage.domain.edit("live", lambda root: root.find("os/type").set("machine", "pc-q35-old"))
    stage.run()
    assert stage.error is None
    assert "can't unplug" in stage.applier.outcome.kept_because
    assert ("detach", "live") not in stage.done
    assert ("detach", "config") in stage.done


def test_other_refusals_of_an_unplug_are_failures():
    stage = Stage(ABSENT, device())

    def fail(_domain, called, _scope):
        if called == "unplug":
            raise VirtmemError("domain_busy", "Busy.")

    stage.hypervisor.before_call = fail
    stage.run()
    assert stage.code == "domain_busy"


def test_device_gone_between_reading_and_unplugging():
    stage = Stage(ABSENT, device())

    def meddle(domain, called, scope):
        if called == "xml" and scope == "live" and domain.requested() == 0:
            domain.edit("live", lambda root: [root.find("devices").remove(m) for m in root.findall("devices/memory")])

    stage.hypervisor.before_call = meddle
    stage.run()
    assert stage.error is None
    assert ("unplug", "live") not in stage.hypervisor.writes


@pytest.mark.parametrize(
    ("spec", "code"),
    [(one(requested=0), "device_not_found"), (one(size=32 * GIB), "domain_busy")],
    ids=["resize", "define"],
)
def test_device_gone_from_the_config_meanwhile(spec, code):
    stage = Stage(spec, device(), scopes=["config"])
    stage.applier._writer.forget("config")
    stage.domain.edit("config", lambda root: root.find("devices").remove(root.find("devices/memory")))
    stage.run()
    assert stage.code == code
    assert stage.done == []


def test_rollback_of_an_attach_that_cannot_be_unplugged():
    stage = Stage(ATTACH, versions=BOOKWORM, guest=Guest(highest=GIB), on_partial="rollback").run()
    assert stage.code == "partial"
    assert (stage.domain.requested(), stage.domain.current(), stage.domain.requested("config")) == (0, 0, None)
    assert stage.applier.outcome.kept_because
    assert "stays, empty, until" in stage.error.message


def test_rollback_of_an_attach_that_the_guest_does_not_give_back():
    stage = Stage(ATTACH, guest=Guest(highest=GIB, lowest=GIB), on_partial="rollback").run()
    assert stage.code == "partial"
    assert (stage.domain.requested(), stage.domain.current()) == (0, GIB)
    assert stage.domain.requested("config") is None


def test_rollback_restores_current_memory():
    stage = Stage(ATTACH, guest=Guest(driver=False), on_partial="rollback").run()
    assert stage.as_before
    assert ("set_current_memory", "config") in stage.done
