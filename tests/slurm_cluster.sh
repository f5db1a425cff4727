#!/usr/bin/env bash
# A one-node SLURM on this machine, for the tests: no systemd, no cgroups, no accounting database.
#
#   tests/slurm_cluster.sh start|stop|status
#
# Needs root on Debian or Ubuntu; `start` installs the packages it lacks. The node claims 8 CPUs, 16 GB and 2 GPUs,
# whatever the machine has; the GPUs are copies of /dev/null. Time and memory limits are enforced.
set -euo pipefail

state=/var/lib/belljar-slurm
config=/etc/slurm/slurm.conf
marker='# written by tests/slurm_cluster.sh'
node=$(hostname -s)

fail() {
    echo "slurm_cluster: $*" >&2
    exit 1
}

# until_true SECONDS COMMAND...
until_true() {
    local tries=$(($1 * 5))
    shift
    until "$@" &>/dev/null; do
        ((tries-- > 0)) || return 1
        sleep 0.2
    done
}

running() { [[ -s $state/$1.pid ]] && kill -0 "$(<"$state/$1.pid")" 2>/dev/null; }

gone() { ! running "$1"; }

node_ready() { sinfo --noheader --Node --format=%T | grep -qE '^(idle|mixed|allocated)$'; }

queue_empty() { [[ -z $(squeue --noheader) ]]; }

munge_works() { munge --no-input | unmunge; }

install_packages() {
    local package missing=()
    for package in munge slurm-client slurmctld slurmd; do
        dpkg --status "$package" 2>/dev/null | grep -q '^Status: install ok installed' || missing+=("$package")
    done
    [[ ${#missing[@]} -gt 0 ]] || return 0
    command -v apt-get >/dev/null || fail "${missing[*]} missing, and there is no apt-get to install them"
    { apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends "${missing[@]}"; } \
        &>"$state/apt.log" || fail "installing ${missing[*]} failed, see $state/apt.log"
}

write_config() {
    local gpu
    mkdir -p /etc/slurm "$state/controller" "$state/node"
    for gpu in 0 1; do
        [[ -e $state/gpu$gpu ]] || mknod "$state/gpu$gpu" c 1 3
    done
    echo "Name=gpu File=$state/gpu[0-1]" >/etc/slurm/gres.conf
    cat >"$config" <<CONF
$marker
ClusterName=belljar
SlurmctldHost=$node(127.0.0.1)
SlurmUser=root
SlurmctldPidFile=$state/slurmctld.pid
SlurmdPidFile=$state/slurmd.pid
SlurmctldLogFile=$state/slurmctld.log
SlurmdLogFile=$state/slurmd.log
StateSaveLocation=$state/controller
SlurmdSpoolDir=$state/node
ReturnToService=2
AccountingStorageType=accounting_storage/none
# Nothing here needs cgroups or systemd.
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
# SLURM itself watches memory; a job over its limit is killed within two seconds.
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=task=2
JobAcctGatherParams=OverMemoryKill
OverTimeLimit=0
KillWait=2
# A test should not wait for a scheduler that is tuned for thousands of jobs.
SchedulerParameters=batch_sched_delay=1,bf_interval=2
# The node may claim more than the machine has.
SlurmdParameters=config_overrides
GresTypes=gpu
NodeName=$node NodeAddr=127.0.0.1 CPUs=8 RealMemory=16000 Gres=gpu:2
PartitionName=cpu Nodes=$node Default=YES MaxTime=1-00:00:00
PartitionName=gpu Nodes=$node MaxTime=1-00:00:00
CONF
}

start_munge() {
    munge_works &>/dev/null && return 0
    install -d -o munge -g munge -m 755 /run/munge
    install -d -o munge -g munge -m 700 /etc/munge /var/lib/munge /var/log/munge
    if [[ ! -s /etc/munge/munge.key ]]; then
        (umask 077 && head -c 1024 /dev/urandom >/etc/munge/munge.key)
        chown munge:munge /etc/munge/munge.key
    fi
    setpriv --reuid=munge --regid=munge --init-groups munged
    until_true 10 munge_works || fail "munge did not start, see /var/log/munge/munged.log"
    cp /run/munge/munged.pid "$state/munged.pid"
}

start() {
    [[ $EUID -eq 0 ]] || fail "start needs root"
    [[ ! -e $config ]] || grep -qxF "$marker" "$config" || fail "$config belongs to another cluster; left alone"
    mkdir -p "$state"
    stop_daemons slurmd slurmctld
    install_packages
    write_config
    start_munge
    slurmctld -ci
    until_true 30 scontrol ping || fail "slurmctld did not answer, see $state/slurmctld.log"
    slurmd -N "$node"
    until_true 30 node_ready || fail "the node did not become idle, see $state/slurmd.log"
}

stop_daemons() {
    local daemon pid
    for daemon in "$@"; do
        running "$daemon" || continue
        # It removes the file as it ends, and may end between any two of these lines; the others are stopped all the same.
        pid=$(<"$state/$daemon.pid") || continue
        kill "$pid" || true
        until_true 15 gone "$daemon" || kill -KILL "$pid" || true
        rm -f "$state/$daemon.pid"
    done
}

# With SLURM's clients installed and a configuration but no controller, every start of snakemake takes 10 s longer: its
# plugin asks `scontrol show config` and waits. So the configuration goes away too.
stop() {
    if running slurmctld; then
        scancel --user=root || true
        until_true 10 queue_empty || echo "slurm_cluster: jobs did not end: $(squeue --noheader --format=%i)" >&2
    fi
    stop_daemons slurmd slurmctld munged
    if [[ -e $config ]] && grep -qxF "$marker" "$config"; then
        rm -f "$config" /etc/slurm/gres.conf
    fi
}

status() {
    running slurmctld || fail "not running"
    sinfo --format='%P %T cpus=%c mem=%m gres=%G'
    squeue --format='%i %T %k'
}

case "${1:-}" in
    start | stop | status) "$1" ;;
    *) fail "expected start, stop or status" ;;
esac
