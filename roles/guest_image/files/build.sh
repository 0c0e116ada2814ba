#!/bin/sh
# SPDX-FileCopyrightText: polyvisor contributors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# build.sh DIRECTORY KERNEL_PACKAGE MARKER INPUTS <init
#
# Makes DIRECTORY/{kernel,ramdisk,disk.qcow2} from the distribution's kernel package, which is unpacked and
# not installed, its busybox-static, and init. The directory appears only when it is whole; INPUTS is kept in it as a
# file of that name, for the caller to see later what it was made from.
set -eu
directory=$1 package=$2 marker=$3 inputs=$4
modules='virtio_pci virtio_blk virtio_net ata_piix sr_mod isofs vfat nls_cp437 nls_ascii nls_iso8859-1 button evdev'
work=$directory.new
rm -rf "$work"
mkdir -p "$work/download" "$work/kernel.d" "$work/disk.d"
for name in bin dev proc sys disk config; do mkdir -p "$work/ramdisk.d/$name"; done

# The name without a version depends on the one that holds the kernel.
image=$(apt-cache show --no-all-versions "$package" |
    sed -n 's/^Depends: .*\(linux-image-[0-9][^ ,]*\).*/\1/p' | head -n 1)
(cd "$work/download" && apt-get -o APT::Sandbox::User=root -qq download "${image:-$package}")
dpkg-deb --extract "$work"/download/*.deb "$work/kernel.d"
cp "$work"/kernel.d/boot/vmlinuz-* "$work/kernel"

cat >"$work/ramdisk.d/init"
chmod 0755 "$work/ramdisk.d/init"
cp /bin/busybox "$work/ramdisk.d/bin/"
for applet in $(/bin/busybox --list); do
    [ "$applet" = busybox ] || ln -s busybox "$work/ramdisk.d/bin/$applet"
done
tree=$(find "$work/kernel.d" -path '*/lib/modules/*' -prune -print -quit)
target=$work/ramdisk.d/lib/modules/${tree##*/}
mkdir -p "$target"
find "$tree" -name '*.ko.xz' -exec unxz {} +
/bin/busybox depmod -n -b "${tree%/lib/modules/*}" "${tree##*/}" | grep '\.ko:' >"$work/modules.dep"
for module in $modules; do
    sed -n "s#^\(kernel/[^:]*/$module\.ko\):#\1#p" "$work/modules.dep"
done | tr ' ' '\n' | sort -u | while read -r file; do
    [ -z "$file" ] || install -D -m 0644 "$tree/$file" "$target/$file"
done
/bin/busybox depmod -b "$work/ramdisk.d" "${tree##*/}"

find "$work/ramdisk.d" -exec touch --no-dereference --date=@0 {} +
(cd "$work/ramdisk.d" && find . -print0 | LC_ALL=C sort -z |
    cpio --null --create --format=newc --owner=0:0 --reproducible --quiet) | gzip -n >"$work/ramdisk"

echo "$marker" >"$work/disk.d/marker"
truncate --size=64M "$work/disk.raw"
mke2fs -q -t ext4 -L polyvisor -m 0 -d "$work/disk.d" "$work/disk.raw"
qemu-img convert -f raw -O qcow2 "$work/disk.raw" "$work/disk.qcow2"

rm -rf "$work/download" "$work/kernel.d" "$work/ramdisk.d" "$work/disk.d" "$work/disk.raw" "$work/modules.dep"
echo "$inputs" >"$work/inputs"
rm -rf "$directory"
mv "$work" "$directory"
