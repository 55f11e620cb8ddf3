#!/usr/bin/env bash
# Turns its mount namespace into a node's: folders of the node over the paths that kubelet, containerd and the CNI
# plugins write to, so that nodes do not meet and every mount vanishes with them. Then holds the namespaces.
# usage: unshare --net --mount --uts node_namespaces.sh FOLDER NAME; FOLDER/ready appears when all is done
set -euo pipefail
folder=$1

# A new sysfs shows this namespace's links, but hides the cgroup mounts: those are carried over.
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

# The kubelet writes these three for the whole machine unless they are as it wants: here they seem to be.
for setting in vm/overcommit_memory=1 kernel/panic=10 kernel/panic_on_oops=1; do
    seeming=$folder/${setting//[\/=]/-}
    printf '%s\n' "${setting#*=}" >"$seeming"
    mount --bind "$seeming" "/proc/sys/${setting%=*}"
done
printf '1\n' >/proc/sys/net/ipv4/ip_forward

: >"$folder/ready"
# Its command line names the folder: that is how leftovers of a killed run are found.
exec tail -f "$folder/ready"
