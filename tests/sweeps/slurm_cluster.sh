#!/bin/sh
# slurm_cluster.sh start|stop DIR: a Slurm of two nodes with one CPU each on this machine, with its files in DIR.
# Needs root and Debian's slurmctld, slurmd, slurm-client and munge. Its commands need SLURM_CONF=DIR/slurm.conf.
set -eu
what=$1
dir=$2

if [ "$what" = stop ]; then
    for daemon in slurmd.one slurmd.two slurmctld munged; do
        [ -f "$dir/$daemon.pid" ] || continue
        pid=$(cat "$dir/$daemon.pid")
        kill "$pid" || continue
        while kill -0 "$pid" 2>/dev/null; do sleep 0.1; done # slurmctld still writes its state
    done
    exit
fi

mkdir -p "$dir/state" "$dir/spool.one" "$dir/spool.two"
chmod 755 "$dir"
host=$(hostname -s)
head -c 1024 /dev/urandom >"$dir/munge.key"
chmod 600 "$dir/munge.key"
# cred_expire: a job that is queued again starts after so many seconds, two minutes by default
cat >"$dir/slurm.conf" <<EOF
ClusterName=local
SlurmctldHost=$host(127.0.0.1)
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket=$dir/munge.socket,cred_expire=5
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
JobRequeue=1
ReturnToService=2
MpiDefault=none
SlurmctldPort=26817
StateSaveLocation=$dir/state
SlurmdSpoolDir=$dir/spool.%n
SlurmctldPidFile=$dir/slurmctld.pid
SlurmdPidFile=$dir/slurmd.%n.pid
SlurmctldLogFile=$dir/slurmctld.log
SlurmdLogFile=$dir/slurmd.%n.log
NodeName=one NodeHostname=$host NodeAddr=127.0.0.1 Port=26818 CPUs=1 State=UNKNOWN
NodeName=two NodeHostname=$host NodeAddr=127.0.0.1 Port=26819 CPUs=1 State=UNKNOWN
PartitionName=main Nodes=one,two Default=YES MaxTime=60 State=UP
EOF
munged --force --key-file="$dir/munge.key" --socket="$dir/munge.socket" --pid-file="$dir/munged.pid" \
    --log-file="$dir/munged.log" --seed-file="$dir/munge.seed"
slurmctld -f "$dir/slurm.conf"
for node in one two; do slurmd -f "$dir/slurm.conf" -N "$node"; done
