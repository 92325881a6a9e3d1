# The first process of a node's namespaces: when it ends, the kernel ends every other process in them, containers included,
# and every mount is gone. It is a shell and not containerd itself, because somebody has to take in orphans.
#
#   sh init.sh DIRECTORY CONTAINERD
directory=$1 containerd=$2
mount --make-rshared /
# containerd, its shims and the network plug-ins have these paths built in. What stands in memory has short names, too:
# those of sockets are limited to 108 bytes.
mount -t tmpfs -o mode=0755 lunchbadger /run/containerd
mount -t tmpfs -o mode=0755 lunchbadger /run/netns
mount --bind "$directory/cni" /var/lib/cni
mount --bind "$directory/kubelet" /var/lib/kubelet
mount --bind "$directory/logs/containers" /var/log/containers
"$containerd" --config "$directory/containerd.toml" &
wait $!
