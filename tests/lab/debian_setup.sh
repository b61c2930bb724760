#!/bin/sh
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The virtmem.libvirt authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Makes a fresh Debian root, in which it runs, the system of a lab guest. Nothing here touches what a guest does about
# memory: that stays as Debian has it. Beside it in /lab: key.pub (who may log in) and word.sh.
set -eu

# Its disk, and GRUB, as an administrator would have it; only without a menu, with a serial console, and without what
# guards against faults of real processors, which an emulated one has not got.
cat >/etc/fstab <<'END'
/dev/vda1 / ext4 rw,noatime 0 0
END
mkdir -p /etc/default /boot/grub/i386-pc
cat >/etc/default/grub <<'END'
GRUB_DEFAULT=0
GRUB_TIMEOUT=0
GRUB_DISTRIBUTOR=Debian
GRUB_CMDLINE_LINUX_DEFAULT="quiet"
GRUB_CMDLINE_LINUX="console=ttyS0 mitigations=off"
GRUB_TERMINAL=serial
GRUB_DISABLE_LINUX_UUID=true
GRUB_DISABLE_OS_PROBER=true
GRUB_DISABLE_RECOVERY=true
END
# For the very first start, from which on update-grub does it.
kernel=$(echo /boot/vmlinuz-*)
cat >/boot/grub/grub.cfg <<END
linux $kernel root=/dev/vda1 ro console=ttyS0 mitigations=off quiet
initrd /boot/initrd.img-${kernel#*-}
boot
END
cp /usr/lib/grub/i386-pc/*.mod /usr/lib/grub/i386-pc/*.lst /boot/grub/i386-pc
grub-mkimage --format=i386-pc --prefix='(hd0,msdos1)/boot/grub' --output=/lab/core.img biosdisk part_msdos ext2
cp /usr/lib/grub/i386-pc/boot.img /lab

# Who may log in, and how.
mkdir -p /etc/ssh/sshd_config.d
install -d -m 700 ~root/.ssh
install -m 600 /lab/key.pub ~root/.ssh/authorized_keys
cat >/etc/ssh/sshd_config.d/lab.conf <<'END'
HostKey /etc/ssh/ssh_host_ed25519_key
UseDNS no
UsePAM no
PasswordAuthentication no
END
cp /etc/ssh/ssh_host_ed25519_key.pub /lab/host_key.pub

# Its name and its network.
echo debian >/etc/hostname
printf '127.0.0.1 localhost\n127.0.1.1 debian\n' >/etc/hosts
echo nameserver 10.0.2.3 >/etc/resolv.conf
echo 00000000000000000000000000000b12 >/etc/machine-id # it would cost the first start some work
mkdir -p /etc/systemd/network
cat >/etc/systemd/network/10-lab.network <<'END'
[Match]
Name=e*
[Network]
DHCP=ipv4
LinkLocalAddressing=no
IPv6AcceptRA=no
END

# What it says on its console.
cp /lab/word.sh /usr/local/sbin/lab-word
chmod 755 /usr/local/sbin/lab-word
cat >/etc/systemd/system/lab-word.service <<'END'
[Unit]
Description=Says on the serial console how much memory there is
After=ssh.service
[Service]
ExecStart=/usr/local/sbin/lab-word
END

# What is started, and what a guest of a few minutes has no use for.
cd /etc/systemd/system
mkdir -p multi-user.target.wants
ln -sf /lib/systemd/system/systemd-networkd.service multi-user.target.wants
ln -sf ../lab-word.service multi-user.target.wants
ln -sf /lib/systemd/system/multi-user.target default.target
for unit in apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer e2scrub_reap.service \
    fstrim.timer systemd-tmpfiles-clean.timer systemd-timesyncd.service getty@tty1.service serial-getty@ttyS0.service \
    networking.service systemd-networkd-wait-online.service systemd-update-utmp.service \
    systemd-update-utmp-runlevel.service systemd-journal-flush.service systemd-pstore.service systemd-binfmt.service \
    systemd-random-seed.service sys-kernel-debug.mount sys-kernel-tracing.mount dev-mqueue.mount; do
    ln -sf /dev/null "$unit"
done
systemctl --quiet disable libvirtd.service libvirtd.socket libvirtd-ro.socket libvirtd-admin.socket \
    virtlogd.socket virtlogd-admin.socket virtlockd.socket virtlockd-admin.socket libvirt-guests.service
mkdir -p /etc/systemd/journald.conf.d
printf '[Journal]\nStorage=volatile\n' >/etc/systemd/journald.conf.d/lab.conf

# A repository of its own, with what a test may install: no network is needed for it, and apt has little to read.
apt-get clean
apt-get -qq install --download-only --no-install-recommends python3-lxml qemu-guest-agent
mkdir -p /srv/packages
mv /var/cache/apt/archives/*.deb /srv/packages
cd /srv/packages
for package in *.deb; do
    dpkg-deb --field "$package"
    printf 'Filename: ./%s\nSize: %s\nSHA256: %s\n\n' "$package" "$(stat -c %s "$package")" \
        "$(sha256sum "$package" | cut -d ' ' -f 1)"
done >Packages
echo 'deb [trusted=yes] file:/srv/packages ./' >/etc/apt/sources.list.d/lab.list
rm -rf /usr/share/locale/* /var/cache/apt/*.bin /var/lib/apt/lists/*
apt-get -qq -o Dir::Etc::SourceList=sources.list.d/lab.list -o Dir::Etc::SourceParts=- update
