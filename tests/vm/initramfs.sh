#!/bin/busybox sh
# First program of a test machine: loads what the disk needs and goes on from there.
b=/bin/busybox
$b mount -t proc proc /proc
$b mount -t sysfs sys /sys
$b mount -t devtmpfs dev /dev
while read -r module; do $b insmod "/mods/$module.ko"; done </mods/order
tries=0
while [ ! -b /dev/vda ] && [ $tries -lt 500 ]; do
  $b usleep 20000
  tries=$((tries + 1))
done
$b mount -t ext4 -o prjquota /dev/vda /new || {
  echo "the disk cannot be mounted"
  $b poweroff -f
}
$b umount /proc /sys
$b mount --move /dev /new/dev
exec $b switch_root /new /usr/sbin/init
