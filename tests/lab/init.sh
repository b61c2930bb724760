#!/bin/sh
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The virtmem.libvirt authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# The only program of a lab guest. It loads the drivers, says on the console how much memory there is, and behaves as well
# or as badly as the kernel command line tells it:
#   lab.driver=now|never|N   virtio_mem is loaded at once, never, or N seconds after a virtio-mem device has appeared
#   lab.hungry=KIB           so much is kept in use as soon as the guest has it to give
#   lab.button=ignored       nothing happens when the power button is pressed; else the guest goes off at once
#   lab.pinned=COUNT         so many inodes (unmovable kernel memory) are made whenever memory has been plugged
# No program is started in the loop: under software emulation each one would cost more than all the rest.

mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
mount -t tmpfs -o size=0,nr_inodes=0 tmpfs /tmp
mkfifo /tmp/never
exec 3<>/tmp/never

driver=now hungry=0 pinned=0 button=obeyed
read -r cmdline </proc/cmdline
for word in $cmdline; do
    case $word in
        lab.driver=*) driver=${word#*=} ;;
        lab.hungry=*) hungry=${word#*=} ;;
        lab.button=*) button=${word#*=} ;;
        lab.pinned=*) pinned=${word#*=} ;;
    esac
done

load() {
    for module in "$1"/*.ko; do
        [ -e "$module" ] && insmod "$module"
    done
}

# 0x0018 is virtio's own number for a memory device
has_memory_device() {
    for file in /sys/bus/virtio/devices/*/device; do
        [ -e "$file" ] && read -r id <"$file" && [ "$id" = 0x0018 ] && return
    done
    return 1
}

load_driver_when_due() {
    case $driver in
        loaded | never) return ;;
        now) ;;
        *)
            [ "$appeared" ] || { has_memory_device && appeared=${uptime%%.*}; }
            [ "$appeared" ] && [ $((${uptime%%.*} - appeared)) -gt "$driver" ] || return
            ;;
    esac
    load /drivers
    driver=loaded
}

# Fresh kernel memory comes out of the zone that was plugged last; as inodes it can be neither moved nor dropped.
pin_kernel_memory() {
    count=0
    while [ "$count" -lt "$pinned" ]; do
        : >"/tmp/$seq.$count"
        count=$((count + 1))
    done
}

# 48 MiB stay free, or the guest would fall to the OOM killer right here and not in the test that wants to see it.
eat_when_possible() {
    [ "$hungry" -gt 0 ] && [ $((available - 49152)) -ge "$hungry" ] || return
    dd if=/dev/zero of=/tmp/hungry bs=1024k count=$((hungry / 1024)) 2>/dev/null
    hungry=0
    look
}

look() {
    { read -r _ total _; read -r _ free _; read -r _ available _; } </proc/meminfo
    read -r uptime _ </proc/uptime
}

say() {
    seq=$((seq + 1)) said=$total quiet=0
    printf '@lab {"boot":"%s","seq":%d,"uptime":%s,"MemTotal":%d,"MemFree":%d,"MemAvailable":%d}\n' \
        "$boot" "$seq" "$uptime" "$total" "$free" "$available"
}

read -r boot </proc/sys/kernel/random/boot_id
load /modules
if [ "$button" = obeyed ]; then
    for device in /dev/input/event*; do
        [ -e "$device" ] && (dd if="$device" of=/dev/null bs=24 count=1 2>/dev/null && poweroff -f) &
    done
fi
seq=0 quiet=0 appeared=
look
said=$total
load_driver_when_due
while :; do
    look
    load_driver_when_due
    [ "$total" -gt "$said" ] && pin_kernel_memory
    eat_when_possible
    # What the guest does about new memory is done before it says that it has it: who waits for the number has both.
    if [ "$seq" -eq 0 ] || [ "$total" -ne "$said" ] || [ "$quiet" -ge 8 ]; then
        look
        say
    fi
    quiet=$((quiet + 1))
    # shellcheck disable=SC3045 # busybox has it
    read -r -t 0.2 _ <&3
done
