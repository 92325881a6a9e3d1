# Holds the right to have a node on this machine, and cleans up what one changes outside of its own namespaces: at the
# start what somebody left who was killed together with this guard, and again when standard input closes, which it does
# however the one who started us ends.
#
#   sh machine.sh LOCK STATE SECONDS BRIDGE ADDRESS/PREFIX CGROUP SOCKET
#
# STATE has a line for each thing to put back: `sysctl FILE VALUE`, `directory PATH`. Prints `ready`, or `busy`.
lock=$1 state=$2 patience=$3 bridge=$4 address=$5 cgroup=$6 socket=$7

groups() {
  if [ -e /sys/fs/cgroup/cgroup.controllers ]; then
    echo /sys/fs/cgroup
  else
    for procs in /sys/fs/cgroup/*/cgroup.procs; do echo "${procs%/*}"; done
  fi
}

clean() {
  rm -f "$socket"
  ip link delete "$bridge"
  nft delete table ip lunchbadger
  nft delete table ip kube-proxy
  nft delete table ip6 kube-proxy
  # Killed processes leave their groups a moment later.
  for _ in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
    left=
    for group in $(groups); do
      [ -d "$group/$cgroup" ] || continue
      find "$group/$cgroup" -depth -type d -exec rmdir {} +
      [ ! -d "$group/$cgroup" ] || left=yes
    done
    [ -n "$left" ] || break
    sleep 0.2
  done
  [ -e "$state" ] || return 0
  while read -r kind name value; do
    case $kind in
      sysctl) echo "$value" >"$name" ;;
      directory) rmdir "$name" ;;
    esac
  done <"$state"
  rm -f "$state"
}

prepare() {
  # What kubelet, kube-proxy and the bridge change.
  for name in vm/overcommit_memory vm/panic_on_oom kernel/panic kernel/panic_on_oops kernel/keys/root_maxkeys \
    kernel/keys/root_maxbytes net/ipv4/ip_forward net/ipv6/conf/all/forwarding net/netfilter/nf_conntrack_max \
    net/netfilter/nf_conntrack_tcp_timeout_established net/netfilter/nf_conntrack_tcp_timeout_close_wait \
    net/netfilter/nf_conntrack_tcp_be_liberal; do
    [ ! -r "/proc/sys/$name" ] || echo "sysctl /proc/sys/$name $(cat "/proc/sys/$name")"
  done >"$state"
  # Where the node mounts what is its own, over directories that programs have built in.
  for name in /run/containerd /run/netns /var/lib/cni /var/lib/kubelet /var/log/containers; do
    [ -d "$name" ] || { mkdir -p "$name" && echo "directory $name" >>"$state"; }
  done
  for group in $(groups); do mkdir -p "$group/$cgroup" || return 1; done
  ip link add "$bridge" type bridge && ip address add "$address" dev "$bridge" && ip link set "$bridge" up || return 1
  echo 1 >/proc/sys/net/ipv4/ip_forward
  nft -f - <<TABLE
table ip lunchbadger {
  chain postrouting {
    type nat hook postrouting priority srcnat;
    ip saddr ${address%.*}.0/24 ip daddr != ${address%.*}.0/24 masquerade
  }
}
TABLE
}

exec 9>"$lock"
flock -w "$patience" 9 || { echo busy; exit 1; }
clean 2>/dev/null
if prepare >&2; then echo ready; else echo failed; fi
read -r _
clean 2>/dev/null
