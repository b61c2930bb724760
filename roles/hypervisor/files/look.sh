#!/bin/sh
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The virtmem.libvirt authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Says as JSON what a host has that hypervisors are made of. It only reads.

there() { if [ -e "$1" ]; then echo true; else echo false; fi; }

# The monolithic daemon where it is enabled, runs, or is all there is; else the one of QEMU's driver.
daemon=
if systemctl -q is-enabled libvirtd.service 2>/dev/null || systemctl -q is-active libvirtd.service 2>/dev/null; then
    daemon=libvirtd
elif systemctl -q cat virtqemud.socket >/dev/null 2>&1; then
    daemon=virtqemud
elif systemctl -q cat libvirtd.service >/dev/null 2>&1; then
    daemon=libvirtd
fi

# Where systemd listens for it, it starts when somebody calls, and ends when nobody has needed it for two minutes.
listening=false
[ -n "$daemon" ] && systemctl -q is-active "$daemon.socket" 2>/dev/null && listening=true

# Each pool of huge pages: of the whole host, and of each node.
pools=
for folder in /sys/kernel/mm/hugepages/hugepages-* /sys/devices/system/node/node[0-9]*/hugepages/hugepages-*; do
    [ -e "$folder/nr_hugepages" ] || continue
    read -r count <"$folder/nr_hugepages"
    pools="$pools,\"$folder/nr_hugepages\":$count"
done

# libvirt raises the limit of locked memory for guests that need it; CAP_SYS_RESOURCE, bit 24, is what that takes.
capabilities=$(sed -n 's/^CapEff:[[:space:]]*//p' /proc/self/status)
may_lock=false
[ $((0x$capabilities >> 24 & 1)) -eq 1 ] && may_lock=true

# Where there are transparent huge pages, the blocks of a virtio-mem device can't be smaller than one.
block=2097152
[ -r /sys/kernel/mm/transparent_hugepage/hpage_pmd_size ] &&
    read -r block </sys/kernel/mm/transparent_hugepage/hpage_pmd_size

cat <<END
{
  "daemon": "$daemon",
  "listening": $listening,
  "configuration": $(there "/etc/libvirt/${daemon:-none}.conf"),
  "pools": {${pools#,}},
  "unit": $(there /etc/systemd/system/virtmem-hugepages.service),
  "rules": $(there /etc/polkit-1/rules.d/20-virtmem-libvirt-account.rules),
  "transparent_huge_pages": "$(sed 's/.*\[\(.*\)\].*/\1/' /sys/kernel/mm/transparent_hugepage/enabled 2>/dev/null)",
  "smallest_block": $block,
  "may_lock": $may_lock,
  "kernel": "$(uname -r)"
}
END
