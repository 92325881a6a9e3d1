# Says in a line what a node takes and this machine does not give; nothing where it gives all. It runs in namespaces of its
# own, so that nothing of it stays.
#
#   sh probe.sh DIRECTORY
directory=$1
lacks() {
  echo "$1"
  exit 0
}

for name in lower upper work merged; do mkdir "$directory/$name"; done
mount -t overlay -o "lowerdir=$directory/lower,upperdir=$directory/upper,workdir=$directory/work" lunchbadger \
  "$directory/merged" || lacks "overlayfs cannot be mounted in $directory"
if [ -e /sys/fs/cgroup/cgroup.controllers ]; then
  groups=/sys/fs/cgroup
else
  groups="/sys/fs/cgroup/memory /sys/fs/cgroup/cpu /sys/fs/cgroup/pids"
fi
for group in $groups; do
  probe=$group/lunchbadger-probe-$$
  mkdir "$probe" && rmdir "$probe" || lacks "no control group can be made in $group"
done
# These two are in packages that may be installed later.
! command -v ip >/dev/null || ip link add lunchbadger1 type bridge || lacks "no network bridge can be made"
! command -v nft >/dev/null || nft add table ip lunchbadger || lacks "nftables cannot be changed"
