# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The virtmem.libvirt authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What libvirt 9.0, 11.3 and 12.8 and QEMU 7.2 to 11.1 say (fact sheets), and what we make of it."""

from __future__ import annotations

import pytest

from ansible_collections.virtmem.libvirt.plugins.module_utils import _libvirt_errors
from ansible_collections.virtmem.libvirt.plugins.module_utils._errors import ERROR_CODES

LIVE = "change the running guest"
CONFIG = "change the stored definition"
UNSUPPORTED = "unsupported configuration: "
QEMU = "internal error: unable to execute QEMU command "

TEXTS = [
    # number, text, code
    (1, f"{QEMU}'device_del': virtio based memory devices cannot be unplugged.", "unplug_unsupported"),
    (1, "this virtio based memory devices cannot be unplugged", "unplug_unsupported"),
    (
        1,
        f"{QEMU}'device_del': virtio-mem device cannot get unplugged while 'unplugged-inaccessible' != 'on'",
        "unplug_unsupported",
    ),
    (1, "'requested-size' cannot be changed if the device is in the process of unplug", "domain_busy"),
    (68, "Timed out during operation: cannot acquire state change lock (held by monitor=qemuDispatch)", "domain_busy"),
    (68, "Timed out during operation: whatever it was", "domain_busy"),
    (55, "Requested operation is not valid: another migration job is already running for domain web1", "domain_busy"),
    (55, "Requested operation is not valid: domain is being migrated", "domain_busy"),
    (1, "internal error: No more available PCI slots", "not_hotpluggable"),
    (
        67,
        f"{UNSUPPORTED}cannot use/hotplug a memory device when domain 'maxMemory' is not defined",
        "not_hotpluggable",
    ),
    (35, "can't add memory backend as guest has no NUMA nodes configured", "not_hotpluggable"),
    (
        67,
        f"{UNSUPPORTED}At least one numa node has to be configured when enabling memory hotplug",
        "not_hotpluggable",
    ),
    (1, "internal error: qemu unexpectedly closed the monitor: Incompatible with mlock", "not_hotpluggable"),
    (1, f"{QEMU}'device_add': Discarding RAM is disabled", "not_hotpluggable"),
    (
        67,
        f"{UNSUPPORTED}Attaching memory device with size '16777216' would exceed domain's maxMemory config size '9'",
        "exceeds_max_memory",
    ),
    (67, f"{UNSUPPORTED}memory device total size exceeds hotplug space", "exceeds_max_memory"),
    (67, f"{UNSUPPORTED}memory device count '2' exceeds slots count '1'", "exceeds_max_memory"),
    (
        67,
        f"{UNSUPPORTED}count of memory devices requiring memory slots '2' exceeds slots count '1'",
        "exceeds_max_memory",
    ),
    (67, f"{UNSUPPORTED}memory device slot '5' exceeds slots count '2'", "exceeds_max_memory"),
    (67, f"{UNSUPPORTED}no free memory device slot available", "exceeds_max_memory"),
    (
        27,
        "XML error: maximum memory size must be equal or greater than the actual memory size",
        "exceeds_max_memory",
    ),
    (
        1,
        f"{QEMU}'device_add': could not find position in guest address space for memory device - memory fragmented",
        "exceeds_max_memory",
    ),
    (67, f"{UNSUPPORTED}cannot modify memory of model 'dimm'", "immutable"),
    (67, f"{UNSUPPORTED}cannot modify memory size from '4194304' to '8388608'", "immutable"),
    (67, f"{UNSUPPORTED}cannot modify memory address from '0x100000000' to '0x0'", "immutable"),
    (67, f"{UNSUPPORTED}cannot modify memory source nodes", "immutable"),
    (67, f"{UNSUPPORTED}NUMA node 7 is unavailable", "unsupported"),
    (1, "internal error: Unable to find any usable hugetlbfs mount for 9 KiB", "host_lacks_memory"),
    (1, f"{QEMU}'object-add': unable to map backing store for guest RAM: Cannot allocate memory", "host_lacks_memory"),
    (67, f"{UNSUPPORTED}virtio-mem isn't supported by this QEMU binary", "unsupported"),
    (1, f"{QEMU}'device_add': 'virtio-mem-pci' is not a valid device model name", "unsupported"),
    (3, "this function is not supported by the connection driver: virDomainDetachDeviceFlags", "unsupported"),
    (55, "Requested operation is not valid: domain is not running", "domain_not_found"),
    (42, "Domain not found: no domain with matching name 'web1'", "domain_not_found"),
    (88, "access denied: 'QEMU' denied access", "permission_denied"),
    (29, "operation forbidden: read only access prevents virDomainAttachDeviceFlags", "permission_denied"),
    (45, "authentication failed: access denied by policy", "permission_denied"),
    (94, "authentication unavailable: no polkit agent available", "permission_denied"),
    (
        67,
        f"{UNSUPPORTED}Emulator '/usr/bin/qemu-system-x86_64' does not support machine type 'pc-q35-5.1'",
        "unsupported",
    ),
    (29, "operation forbidden: changing device 'acpi index' is not allowed", "libvirt_error"),
    (9, "operation failed: something nobody has seen", "libvirt_error"),
    (67, f"{UNSUPPORTED}non unique alias detected: ua-vm0", "domain_busy"),
    (8, "invalid argument: cellNum in virHostMemGetStats must be less than or equal to 0", "unsupported"),
]
# Not to be met after our own checks but in a race, or with a driver of another kind; the code could be better.
LATER = [
    (
        67,
        f"{QEMU}'device_add': 'dynamic-memslots' property set to 'on' requires 'unplugged-inaccessible' to be 'on'",
        "unsupported",
    ),
    (
        35,
        "can't add memory backend for guest node '1' as the guest has only '1' NUMA nodes configured",
        "node_not_found",
    ),
    (67, f"{UNSUPPORTED}target NUMA node needs to be specified for memory device", "node_not_found"),
    (35, "block size must be a power of two", "block_invalid"),
    (35, "block size too small, must be at least 524288KiB", "block_invalid"),
    (35, "requested size must be an integer multiple of block size", "not_multiple_of_block"),
    (35, "requested size must be smaller than or equal to @size (4194304KiB)", "exceeds_device_size"),
    (
        1,
        f"{QEMU}'device_add': 'memdev' property memdev size has to be multiples of'block-size' (0x400000)",
        "not_multiple_of_block",
    ),
    (1, f"{QEMU}'object-add': backend memory size must be multiple of 0x200000", "not_multiple_of_block"),
    (1, "internal error: failed to find an empty memory slot", "exceeds_max_memory"),
    (1, "internal error: no device found with alias ua-no", "device_not_found"),
    (99, "device not found: matching memory device was not found", "device_not_found"),
    (
        99,
        "device not found: model 'virtio-mem' memory device not present in the domain configuration",
        "device_not_found",
    ),
    (67, f"{UNSUPPORTED}memory 'ua-vm0' not found", "device_not_found"),
    (8, "invalid argument: memory not found", "device_not_found"),
    (
        55,
        "Requested operation is not valid: transient domains do not have any persistent config",
        "unsupported",
    ),
    (84, "Operation not supported: live attach of device 'memory' is not supported", "unsupported"),
    (8, "unsupported flags (0x2) in function testDomainAttachDeviceLiveAndConfig", "unsupported"),
    (67, f"{UNSUPPORTED}virtio-mem does not support dynamicMemslots", "unsupported"),
    (92, "XML document failed to validate against schema", "unsupported"),
]


def ids(table):
    return [f"{number}-{text.rpartition(': ')[2][:40]}" for number, text, _code in table]


@pytest.mark.parametrize(("number", "text", "code"), TEXTS, ids=ids(TEXTS))
def test_known_texts(number, text, code):
    error = _libvirt_errors.translate(LIVE, number, 10, text)
    assert error.code == code
    assert error.code in ERROR_CODES
    assert error.message.endswith(".")
    assert "\n" not in error.message
    assert error.details["libvirt_code"] == number
    assert error.details["libvirt_message"].startswith(text)
    assert error.details["call"] == LIVE


def test_dynamic_memslots_of_an_old_machine_type():
    number, text, code = LATER[0]
    assert _libvirt_errors.translate(LIVE, number, 10, text).code == code


@pytest.mark.parametrize(("number", "text", "code"), LATER[1:], ids=ids(LATER[1:]))
def test_texts_that_could_say_more(number, text, code):
    assert _libvirt_errors.translate(LIVE, number, 10, text).code == code


@pytest.mark.parametrize(
    ("number", "domain", "lost"),
    [(38, 7, True), (1, 7, True), (98, 50, True), (85, 50, True), (38, 10, False), (1, 10, False), (42, 7, False)],
)
def test_broken_links(number, domain, lost):
    assert _libvirt_errors.is_lost(number, domain) is lost
    error = _libvirt_errors.translate(LIVE, number, domain, "Cannot recv data: Connection reset by peer")
    assert (error.code == "connection_lost") is lost
    if lost:
        assert LIVE in error.message
        assert error.hint


@pytest.mark.parametrize("number", [38, 1, 5])
def test_a_link_that_never_was(number):
    text = "Failed to connect socket to '/var/run/libvirt/virtqemud-sock':\n No such file or directory"
    error = _libvirt_errors.translate("open", number, 7, text)
    assert error.code == "connection_failed"
    assert error.message.endswith("No such file or directory.")
    assert "\n" not in error.message
    assert "uri" in error.hint


@pytest.mark.parametrize("call", sorted(_libvirt_errors._PERMISSIONS))
def test_denied_names_the_call_and_its_permissions(call):
    error = _libvirt_errors.translate(call, 88, 10, "access denied")
    assert error.code == "permission_denied"
    assert ("connect" if call == "open" else call) in error.message
    assert _libvirt_errors._PERMISSIONS[call] in error.hint
    assert error.details["permissions"] == _libvirt_errors._PERMISSIONS[call]


def test_what_nobody_knows_keeps_libvirts_words_on_one_line():
    error = _libvirt_errors.translate(CONFIG, 9, 10, "operation failed:\n  two\tlines.")
    assert error.message == f"libvirt could not {CONFIG}: operation failed: two lines."
