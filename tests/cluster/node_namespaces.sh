#!/usr/bin/env bash
# Prepares a node's mount namespace: mounts the node's folders over the paths that kubelet, containerd and the CNI
# plugins write to, so that nodes do not interfere and all mounts disappear with them. Then holds the namespaces.
# usage: unshare --net --mount --uts node_namespaces.sh FOLDER NAME; creates FOLDER/ready when done
set -euo pipefail
folder=$1

# A new sysfs shows this namespace's links but hides the cgroup mounts, so those are moved over.
mkdir -p "$folder/cgroup"
mount --rbind /sys/fs/cgroup "$folder/cgroup"
umount --lazy --recursive /sys
mount -t sysfs sysfs /sys
mount --move "$folder/cgroup" /sys/fs/cgroup
mount --make-rshared /
hostname "$2"

for path in /var/lib/kubelet /var/lib/cni /var/log/pods /var/log/containers /etc/cni/net.d /opt/cni/bin /run/cni \
    /run/containerd; do
    mkdir -p "$folder/mounts$path" "$path"
    mount --bind "$folder/mounts$path" "$path"
done
mount -t tmpfs tmpfs /run/netns

# The kubelet would change these three settings of the whole machine unless they have its values: pretend that they do.
for setting in vm/overcommit_memory=1 kernel/panic=10 kernel/panic_on_oops=1; do
    faked=$folder/${setting//[\/=]/-}
    printf '%s\n' "${setting#*=}" >"$faked"
    mount --bind "$faked" "/proc/sys/${setting%=*}"
done
printf '1\n' >/proc/sys/net/ipv4/ip_forward

: >"$folder/ready"
# The command line contains the folder, by which leftovers of a killed run are found.
exec tail -f "$folder/ready"
