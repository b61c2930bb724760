#!/bin/sh
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The virtmem.libvirt authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Says as JSON what a Linux guest does about plugged memory. It reads, and only builtins but for the last lines: a guest
# may have thousands of memory blocks.

memory=/sys/devices/system/memory
parameters=/sys/module/memory_hotplug/parameters

value() { # the first line of a file, nothing where there is none
    line=
    [ -r "$1" ] && read -r line <"$1"
    printf '%s' "$line"
}

there() { if [ -e "$1" ]; then echo true; else echo false; fi; }

quoted() { # any text as the inside of a JSON string
    printf '%s' "$1" | sed 's/[\\"]/\\&/g' | tr -d '\000-\037'
}

# Where virtio-mem devices have their memory, plugged or not: "START END " of each, decimal.
regions='' maximum=0
while IFS=': -' read -r start end name _; do
    case $name in
        virtio[0-9]*)
            start=$((0x$start)) end=$((0x$end))
            regions="$regions$start $end "
            maximum=$((maximum + end + 1 - start))
            ;;
    esac
done <<END
$(grep -E '^[0-9a-f]+-[0-9a-f]+ : virtio[0-9]+$' /proc/iomem 2>/dev/null)
END

of_device() { # is this address in one of them?
    # shellcheck disable=SC2086 # a list of words
    set -- "$1" $regions
    address=$1
    shift
    while [ $# -gt 1 ]; do
        [ "$address" -ge "$1" ] && [ "$address" -le "$2" ] && return
        shift 2
    done
    return 1
}

block_size=$((0x0$(value $memory/block_size_bytes)))
offline='' plugged=0 in_kernel_zones=0
for folder in "$memory"/memory[0-9]*; do
    [ -e "$folder/state" ] || continue
    read -r state <"$folder/state"
    [ "$state" = offline ] && offline="$offline,\"${folder##*/}\""
    read -r index <"$folder/phys_index"
    of_device $((0x$index * block_size)) || continue
    plugged=$((plugged + 1))
    # Of a block that is online, the only zone that is left is the one that it is in.
    [ "$state" = online ] && read -r zones <"$folder/valid_zones" && [ "$zones" != Movable ] &&
        in_kernel_zones=$((in_kernel_zones + 1))
done

# What the firmware said there is: what was plugged is not in it.
boot=0
for folder in /sys/firmware/memmap/*; do
    [ "$(value "$folder/type")" = 'System RAM' ] || continue
    boot=$((boot + $(value "$folder/end") + 1 - $(value "$folder/start")))
done
read -r _ total _ </proc/meminfo
[ "$boot" -gt 0 ] || boot=$((total * 1024))

read -r command_line </proc/cmdline
booted=$(sed -n 's/^btime //p' /proc/stat)
# What makes the boot loader's configuration, when that was made last, and which of our words it has.
loader=none written=0 configuration=
if [ -x "$(command -v grubby)" ]; then
    loader=grubby # its entries don't say since when a word is in them
    configuration=$(grubby --info=DEFAULT)
elif [ -x "$(command -v update-grub)" ] && [ -e /boot/grub/grub.cfg ]; then
    loader=grub written=$(stat -c %Y /boot/grub/grub.cfg)
    configuration=$(grep -w linux /boot/grub/grub.cfg)
elif [ -x "$(command -v grub2-mkconfig)" ] && [ -e /boot/grub2/grub.cfg ]; then
    loader=grub2 written=$(stat -c %Y /boot/grub2/grub.cfg)
    configuration=$(grep -w linux /boot/grub2/grub.cfg)
fi
ours='(memhp_default_state|memory_hotplug\.[a-z_]+)=[A-Za-z0-9_-]+'
words=
for word in $(printf '%s' "$configuration" | grep -oE "$ours" | sort -u); do
    words="$words,\"$word\""
done

cat <<END
{
  "hotplug": $(there $memory/auto_online_blocks),
  "auto_online_blocks": "$(value $memory/auto_online_blocks)",
  "online_policy": "$(value $parameters/online_policy)",
  "auto_movable_ratio": "$(value $parameters/auto_movable_ratio)",
  "memmap_on_memory": "$(value $parameters/memmap_on_memory)",
  "virtio_mem": $(there /sys/module/virtio_mem),
  "virtio_balloon": $(there /sys/module/virtio_balloon),
  "kernel": "$(uname -r)",
  "block_size": $block_size,
  "offline": [${offline#,}],
  "plugged_blocks": $plugged,
  "kernel_zone_blocks": $in_kernel_zones,
  "boot_memory": $boot,
  "device_maximum": $maximum,
  "mem_total": $((total * 1024)),
  "command_line": "$(quoted "$command_line")",
  "loader": "$loader",
  "loader_written": ${written:-0},
  "booted": ${booted:-0},
  "loader_words": [${words#,}],
  "rule": $(there /etc/udev/rules.d/60-virtmem-memory.rules)
}
END
