#!/usr/bin/env bash
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The virtmem.libvirt authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Says on the console how much memory a Debian guest has, in the words of init.sh, and only builtins: under software
# emulation each program would cost more than all the rest.

exec 3<> <(:) >/dev/ttyS0

# Up is a guest that can be reached: a route is what its network has last.
until [[ $(</proc/net/route) == *$'\n'* ]]; do
    read -r -t 0.1 _ <&3
done
read -r boot </proc/sys/kernel/random/boot_id
seq=0 quiet=0 said=
while :; do
    { read -r _ total _; read -r _ free _; read -r _ available _; } </proc/meminfo
    if [ "$total" != "$said" ] || [ "$quiet" -ge 8 ]; then
        read -r uptime _ </proc/uptime
        seq=$((seq + 1)) said=$total quiet=0
        printf '@lab {"boot":"%s","seq":%d,"uptime":%s,"MemTotal":%d,"MemFree":%d,"MemAvailable":%d}\n' \
            "$boot" "$seq" "$uptime" "$total" "$free" "$available"
    fi
    quiet=$((quiet + 1))
    read -r -t 0.2 _ <&3
done
