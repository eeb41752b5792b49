#!/bin/sh
# Init of a test machine: mounts as a distribution does, then runs each test program as systemd runs a
# service with Delegate=yes: alone in a group of its own that has the controllers.
export PATH=/usr/sbin:/usr/bin HOME=/root
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t tmpfs -o mode=755 run /run
mkdir -p /dev/pts /dev/shm
mount -t devpts pts /dev/pts
mount -t tmpfs -o mode=1777 shm /dev/shm
mount -t cgroup2 cgroup2 /sys/fs/cgroup
mount -t securityfs security /sys/kernel/security
ln -sf /proc/self/fd /dev/fd
ip link set lo up
ip link set eth0 up
ip address add 10.0.2.15/24 dev eth0
ip route add default via 10.0.2.2
hostname vm
# Somewhere for the memory of frozen groups to go.
dd if=/dev/zero of=/swap bs=1M count=192 2>/dev/null
chmod 600 /swap
mkswap /swap >/dev/null && swapon /swap
echo "vm: swap $(sed 1d /proc/swaps)"

slice=/sys/fs/cgroup/system.slice
mkdir $slice
for controller in memory pids cpu io; do
  echo +$controller >/sys/fs/cgroup/cgroup.subtree_control
  echo +$controller >$slice/cgroup.subtree_control
done
echo
echo "vm: booted $(uname -r)"

. /vm/settings
[ -n "$NODE_EXTRA_CA_CERTS" ] || unset NODE_EXTRA_CA_CERTS
while read -r name program arguments; do
  unit=$slice/$name.service
  mkdir "$unit"
  echo "--- $name"
  # shellcheck disable=SC2016 # the inner shell's own number
  UNIT=$unit PROGRAM=$program sh -c 'echo $$ >"$UNIT/cgroup.procs"; exec "$PROGRAM" "$@"' sh ${FILTER:-$arguments} </dev/null 2>&1
  echo "vm: ended $name $?"
done </vm/programs
echo "vm: done"
sync
poweroff -f
