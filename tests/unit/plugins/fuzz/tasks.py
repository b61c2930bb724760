# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The virtmem.libvirt authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Tasks that a person or a survey could send, made from the modules' own argument specs.

Half of them are tame, so that most get as far as a change; the others are wild. A new option is fuzzed as soon as it is
in a spec: texts of an option that neither `TAME` nor `WILD` names are of every kind.
"""

from __future__ import annotations

import yaml
from hypothesis import strategies as st

from ansible_collections.virtmem.libvirt.tests.unit.plugins import running
from ansible_collections.virtmem.libvirt.tests.unit.plugins.fake.domain_xml import UUID
from ansible_collections.virtmem.libvirt.tests.unit.plugins.fuzz.hosts import hypervisors

# The one that the task of this example meets, so that it can name what is there.
hypervisor = st.shared(hypervisors(), key="hypervisor")

ALIASES = ["ua-virtiomem0", "ua-virtiomem1", "ua-dimm0", "virtiomem0", "ua-new"]

# What tends to break programs: markup, quotes, line ends, what is no XML character, what is no character at all.
NASTY = [
    "",
    " ",
    "\n",
    "\0",
    "a\0b",
    "\x1b[31m",
    "\ud800",
    "\udfff",
    "\ufffe",
    "<>&\"'",
    "']]><!-- -->",
    "'/><memory model='dimm'/><x y='",
    "</path></source><target/>",
    "<!DOCTYPE x [<!ENTITY e 'x'>]><x>&e;</x>",
    "&lt;",
    "&amp;e;",
    "{{ 7 * 7 }}",
    "%s%n{0}{x}",
    "../../etc/passwd",
    "ünï\u202eçødé",
    "💾" * 3,
    "x" * 5000,
    "9" * 5000,
    "1" + "0" * 30 + "GiB",
    "0x10",
    "1e3GiB",
    "٣GiB",
    "-1",
    "None",
    "true",
]

# What no_log options are given: nobody may ever say it.
SECRET = "s3cr<e>t"


nasty = st.one_of(st.sampled_from(NASTY), st.text(max_size=20))


def mixed(tame, wild, foreign):
    """Mostly tame ones: of a task of ten options, one or two that are bad find more than ten."""
    kinds = {**dict.fromkeys(range(15), tame), **dict.fromkeys(range(15, 19), wild), 19: foreign}
    return st.sampled_from(sorted(kinds)).flatmap(kinds.__getitem__)


def sized(numbers, units):
    return st.builds("{}{}".format, numbers, st.sampled_from(units))


UNITS = ["", "B", "KiB", "MiB", "GiB", "TiB", "EiB", "K", "M", "G", "MB", "GB", " MiB", "gib", "XiB"]
sensible_sizes = sized(st.sampled_from([1, 2, 3, 4, 6, 8, 12, 16, 32]), ["GiB", "G"])
small_sizes = sized(st.sampled_from([1, 2, 4, 64, 128, 512]), ["MiB", "KiB"])
sizes = st.one_of(sensible_sizes, small_sizes, st.just("0"), sized(st.one_of(st.integers(), st.floats()), UNITS))
sets = st.one_of(
    st.sampled_from(["0", "1", "0-1", "0,1", "0-3,^2", "7", "3-1", "0-99999999", "^0", ","]),
    st.lists(st.integers(-1, 20), max_size=4).map(lambda numbers: ",".join(map(str, numbers))),
)
existing_domain = hypervisor.flatmap(lambda found: st.sampled_from(sorted(found.all)))
addresses = st.one_of(
    st.sampled_from(["0x140000000", "0x200000", "0x1000", "0", "-4096", "5368709120", "0x", "1_0", "0b1"]),
    st.integers(0, 2**65).map(hex),
)
pci = st.one_of(
    st.sampled_from(["0000:00:00.0", "0000:02:00.0", "0000:ff:1f.7", "0000:01:20.0", "01:00"]),
    st.from_regex(r"[0-9a-f]{4}:[0-9a-f]{2}:[01][0-9a-f]\.[0-7]", fullmatch=True),
)
limits = st.one_of(st.just("unlimited"), sizes)

SIZES = ("memory", "size", "requested", "boot", "target", "min", "max", "guest_reserve", "reserve", "block")
SMALL_SIZES = ("page_size", "align_size", "label_size")
LIMITS = ("hard_limit", "soft_limit", "swap_hard_limit")

# By an option's name, what a person who knows what it means could write.
TAME = {
    "domain": existing_domain,
    "alias": st.sampled_from(ALIASES),
    "node_mask": st.just("0"),
    "nodeset": st.just("0"),
    "cpus": st.sampled_from(["0-1", "2-3", "0-3"]),
    "guest_address": st.sampled_from(["0x140000000", "0x1000000000"]),
    "pci_address": st.sampled_from(["0000:05:00.0", "06:00.0"]),
    "path": st.sampled_from(["/pmem/a.img", "/pmem/<&>\"'.img", "/pmem/ü.img"]),
    "uuid": st.uuids().map(str),
    "uri": st.sampled_from(["qemu:///system", "qemu:///session"]),
    **dict.fromkeys(SIZES, sensible_sizes),
    "block": st.sampled_from(["2MiB", "4MiB", "128MiB"]),
    **dict.fromkeys(SMALL_SIZES, st.sampled_from(["2MiB", "4KiB", "1GiB"])),
    **dict.fromkeys(LIMITS, st.one_of(st.just("unlimited"), sensible_sizes)),
    **dict.fromkeys(("guest_reserve", "reserve"), st.sampled_from(["0", "1GiB", "128MiB"])),
}
# The same, of somebody who does not, or is tired.
WILD = {
    "domain": st.one_of(
        existing_domain, existing_domain, st.sampled_from(["web*", "*", "?", "[", "[!a]*", UUID, "no"])
    ),
    "alias": st.one_of(st.sampled_from(ALIASES), nasty),
    **dict.fromkeys(("node_mask", "nodeset", "cpus"), sets),
    "guest_address": addresses,
    "pci_address": pci,
    "path": st.sampled_from(["/dev/dax0.0", "pmem", "~/pmem", "$HOME/x", "~nobody/\0", "/a\x01b", "/a\ufffeb", "/]]>"]),
    "uuid": st.sampled_from([UUID.upper().replace("-", ""), "{}", "urn:uuid:0"]),
    "uri": st.sampled_from(["test:///default", "qemu+ssh://h[/x", "://", "x", "qemu:///session?a=<b>"]),
    **dict.fromkeys((*SIZES, *SMALL_SIZES), sizes),
    **dict.fromkeys(LIMITS, limits),
}
ANY_TEXT = st.one_of(*TAME.values(), *WILD.values(), nasty)

small_numbers = st.integers(0, 4)
numbers = st.one_of(
    small_numbers, st.sampled_from([16, 300, -1, 10000, 2**31, 2**32, 2**63, 2**64, 10**400, -(10**400)])
)


def of_option(name, option, wild):
    """Values of one option of an argument spec. In a wild task some are wild, and a few are not even of its type."""
    tame = _values(name, option, wild, TAME, small_numbers)
    if not wild:
        return tame
    return mixed(tame, _values(name, option, wild, WILD, numbers), _foreign(option))


def _values(name, option, wild, texts, integers):
    kind = option.get("type", "str")
    if kind == "list":
        return st.lists(of_option(name, {**option, "type": option["elements"]}, wild), max_size=3)
    if kind == "dict":
        return of_spec(option["options"], wild, option.get("mutually_exclusive", ()))
    if kind == "bool":
        return st.booleans()
    if kind == "int":
        return integers
    if option.get("no_log"):
        return st.just(SECRET)
    return st.sampled_from(option["choices"]) if "choices" in option else texts.get(name, ANY_TEXT)


def _foreign(option):
    """For a text it is all that breaks programs; anything else than a text is mostly refused by Ansible."""
    return st.one_of(nasty, st.just("16"), st.just("yes"), st.none()) if option.get("type", "str") != "str" else nasty


def of_spec(spec, wild, exclusive=()):
    """Options of a spec: those that it requires, and some of the others."""
    required = [name for name, option in spec.items() if option.get("required")]
    others = [name for name in spec if name not in required]

    def values(chosen):
        for first, second in exclusive:
            chosen = chosen - {second} if first in chosen else chosen
        return st.fixed_dictionaries({name: of_option(name, spec[name], wild) for name in [*required, *sorted(chosen)]})

    chosen = st.sets(st.sampled_from(others), min_size=1, max_size=5) if others else st.just(set())
    return chosen.flatmap(values)


def tasks(name):
    """Options of any sort; or those of a documented example, for a domain that is there, and some put to others."""
    spec = running.argument_spec(name)["argument_spec"]
    documented = [options for options in examples(name) if set(options) <= set(spec)]
    any_sort = st.booleans().flatmap(lambda wild: of_spec(spec, wild))
    about = {"domain": spec["domain"]} if "domain" in spec else {}
    told = st.builds(
        lambda *parts: {key: value for part in parts for key, value in part.items()},
        st.sampled_from(documented),
        st.one_of(st.just({}), st.just({}), any_sort),
        of_spec(about, wild=False),
    )
    return st.one_of(any_sort, told)


def examples(name):
    """The options of each task in the module's documentation, without what a template fills in."""
    for task in yaml.safe_load(running.import_module(name).EXAMPLES):
        options = task.get(f"virtmem.libvirt.{name}")
        if options is not None:
            yield {key: value for key, value in options.items() if "{{" not in str(value)}


def number_of_options(spec):
    return sum(1 + number_of_options(option.get("options") or {}) for option in spec.values())
